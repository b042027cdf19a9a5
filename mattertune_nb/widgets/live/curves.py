"""Curves of a run: one reused plotly figure, its panels stacked on a common axis."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from mattertune_nb.training.outcome.headlines import title_of
from mattertune_nb.widgets.live.curves_layout import (
    axis_suffix,
    curve_lines,
    curves_layout,
    heading,
    included,
)
from mattertune_nb.widgets.live.scales import (
    Scales,
    best_label,
    curve_label,
    kept_label,
    panel_colors,
    smoothed,
)
from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.theme import GREEN, GREY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mattertune_nb.widgets.live.series import CurveData, Panel, Point, Series

Key = tuple[str, str, str]
"""A trace: title of its panel, kind, and name."""

_FEW = 60
"""Curves with at most this many points have markers."""

_DRAWN_SECONDS = 1.2
"""Seconds after which the page has drawn a displayed figure."""


class CurvesFigure:
    """One :class:`plotly.graph_objects.FigureWidget` per dashboard.

    Each FigureWidget adds some 5 MB to a saved notebook and is never garbage-collected, so panels are
    subplots of a single one and new curves are added in place. They all share one horizontal axis, because
    plotly draws its hover line only through panels on the same axis.

    Parameters
    ----------
    data
        The curves shown; call :meth:`update` after changing them.
    """

    def __init__(self, data: CurveData) -> None:
        self.data = data
        self.scales = Scales()
        self.widget = new_plotly_figure()
        unused = ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d"]
        self.widget._config = self.widget._config | {"modeBarButtonsToRemove": unused}
        self._most = 0
        self._traces: dict[Key, Any] = {}
        self._shown: dict[tuple[str, ...], object] = {}
        self._fits, self._fit_at = 0, 0.0
        self._fitting: threading.Thread | None = None
        self.update()

    def draw(self, scales: Scales) -> None:
        """Redraw everything in another way."""
        with self.data.lock:
            self.scales = scales
            self.update()

    def update(self) -> None:
        """Send the changes to the page in a few messages."""
        with self.data.lock:
            self._update()

    def _update(self) -> None:
        panels = self.data.ordered()
        log = [self.scales.is_log(panel) for panel in panels]
        places = [
            (panel.title, bool(panel.series), panel.in_sight(), included(panel, is_log), is_log)
            for panel, is_log in zip(panels, log, strict=True)
        ]
        if self._is_new(("", "places"), places):
            # as a whole: changes to parts of axes that the page does not have yet would be lost
            self._most = max(self._most, len(panels))
            self.widget.layout = curves_layout(panels, log, self._most)
            for part in ("titles", "lines", "axis"):
                self._shown.pop(("", part), None)
        new: list[go.Scatter] = []
        keys: list[Key] = []
        wanted: set[Key] = set()
        with self.widget.batch_update():
            for number, panel in enumerate(panels, 1):
                for key, version, make in self._curves(panel):
                    wanted.add(key)
                    if not self._is_new(key, (number, version)):
                        continue
                    trace = make() | {
                        "yaxis": f"y{axis_suffix(number)}",
                        "legend": f"legend{axis_suffix(number)}",
                        "visible": True,
                    }
                    if key in self._traces:
                        self._traces[key].update(trace)
                    else:
                        keys.append(key)
                        new.append(go.Scatter(trace))
            for key in self._traces.keys() - wanted:
                if self._is_new(key, "hidden"):
                    self._traces[key].visible = False
        if new:
            # together with their points: points sent separately after an empty curve are lost
            self.widget.add_traces(new)
            self._traces |= dict(zip(keys, self.widget.data[-len(new) :], strict=True))
        self._update_layout(panels)

    def _update_layout(self, panels: Sequence[Panel]) -> None:
        titles = [heading(panel, self.data) for panel in panels]
        if self._is_new(("", "titles"), titles):
            with self.widget.batch_update():
                for number, title in enumerate(titles, 1):
                    self.widget.layout[f"legend{axis_suffix(number)}"].title.text = title
        axis = self.scales.x_title(self.data)
        if self._is_new(("", "axis"), axis):
            hover = self.scales.x_hover(self.data)
            self.widget.update_layout(
                xaxis={"title": {"text": axis}, "unifiedhovertitle": {"text": hover}}
            )
        kept = self._place(self.data.kept)
        lines = [panel.in_sight() for panel in panels]
        if self._is_new(("", "lines"), (lines, kept)):
            drawn = curve_lines(panels, kept, kept_label(self.data))
            self.widget.update_layout(
                shapes=drawn.layout.shapes, annotations=drawn.layout.annotations, overwrite=True
            )

    def _place(self, point: Point | None) -> float | None:
        """Return the position of a point on the horizontal axis."""
        return None if point is None else float(self.scales.x(np.array([point]), self.data)[0])

    def _curves(self, panel: Panel) -> list[tuple[Key, object, Callable[[], dict[str, Any]]]]:
        """Return, for each trace of a panel, its key, what it depends on, and how to create it."""
        curves: list[tuple[Key, object, Callable[[], dict[str, Any]]]] = []
        # a new unit of time or epoch length moves points that have not changed themselves
        place = self.scales.x_title(self.data), self.data.epoch_length()
        smooths = self.scales.smooths(panel)
        for name, color in panel_colors(panel).items():
            series = panel.series[name]
            version = series.version, place, color, self.scales.smoothing
            raw = partial(self._raw, panel, name, color)
            curves.append(((panel.title, "curve", name), version, raw))
            if smooths:
                mean = partial(self._mean, series, name, color)
                curves.append(((panel.title, "mean", name), version, mean))
        if panel.best is not None:
            best = partial(self._best, panel, panel.best)
            curves.append(((panel.title, "best", ""), (panel.best, place), best))
        if not panel.series:
            curves.append(((panel.title, "nothing", ""), 0, _nothing))
        return curves

    def _raw(self, panel: Panel, name: str, color: str) -> dict[str, Any]:
        points = panel.series[name].array()
        smooths = self.scales.smooths(panel)
        unit = f" {panel.unit}" if panel.unit else ""
        return {
            "name": curve_label(name, points[-1, 2]),
            "x": self.scales.x(points, self.data),
            "y": points[:, 2],
            "mode": "lines+markers" if len(points) <= _FEW else "lines",
            "line": {"color": color, "width": 1.6},
            "marker": {"size": 4, "color": color},
            "opacity": 0.3 if smooths else 1.0,
            "showlegend": not smooths,
            "hovertemplate": f"{_full_name(panel, name)} %{{y:.4g}}{unit}<extra></extra>",
        }

    def _mean(self, series: Series, name: str, color: str) -> dict[str, Any]:
        points = series.array()
        return {
            "name": curve_label(name, points[-1, 2]),
            "x": self.scales.x(points, self.data),
            "y": smoothed(points[:, 2], self.scales.smoothing),
            "mode": "lines" if len(points) > 1 else "markers",
            "line": {"color": color, "width": 2},
            "marker": {"size": 4, "color": color},
            "hoverinfo": "skip",
        }

    def _best(self, panel: Panel, best: Point) -> dict[str, Any]:
        return {
            "name": best_label(panel, best),
            "x": [self._place(best)],
            "y": [best.value],
            "mode": "markers",
            "marker": {"size": 12, "symbol": "star", "color": GREEN},
            "hoverinfo": "skip",
        }

    def _is_new(self, key: tuple[str, ...], value: object) -> bool:
        if self._shown.get(key) == value:
            return False
        self._shown[key] = value
        return True

    def fit_soon(self) -> None:
        """Take the width of the cell once the page has drawn the figure; plotly keeps 700 px until told."""
        if has_front_end():
            # a page redraws a displayed figure from the complete state it was sent
            self.widget.send_state(["_widget_data", "_widget_layout"])
        self._fits, self._fit_at = 2, time.monotonic() + _DRAWN_SECONDS
        if self._fitting is None or not self._fitting.is_alive():
            self._fitting = threading.Thread(target=self._fit, daemon=True)
            self._fitting.start()

    def _fit(self) -> None:
        while self._fits and has_front_end():
            wait = self._fit_at - time.monotonic()
            if wait > 0:
                # shown again meanwhile: a view that is not drawn yet cannot be asked
                time.sleep(wait)
                continue
            self._fits -= 1
            self._fit_at += _DRAWN_SECONDS
            with self.data.lock:
                self.widget.layout.autosize = False
                self.widget.layout.autosize = True

    def clear(self) -> None:
        """Empty all curves, because a resumed run has rewritten part of its record."""
        with self.data.lock, self.widget.batch_update():
            self._shown.clear()
            for trace in self._traces.values():
                trace.x, trace.y = [], []


def _nothing() -> dict[str, Any]:
    """Return an empty trace: a legend without an entry, and hence the panel's heading, would not be drawn."""
    return {
        "name": "no value yet",
        "x": [None],
        "y": [None],
        "mode": "lines",
        "line": {"color": GREY, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _full_name(panel: Panel, name: str) -> str:
    """Return the name of a curve when shown beside those of other panels."""
    return (
        f"{name} {panel.title}" if panel.unit or panel.title == "learning rate" else title_of(name)
    )
