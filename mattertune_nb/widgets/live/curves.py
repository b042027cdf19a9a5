"""Curves of a run: one plotly figure that is reused, and a still picture of the same data."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.picture import new_figure
from mattertune_nb.widgets.page.theme import BLUE, GREEN, GREY, GRID, PALETTE, RED, template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.widgets.live.series import CurveData, Panel

COLORS = {"train": GREY, "validation": BLUE, "best": GREEN, "baseline": RED}
_ROW = 230  # px
_DRAWN_SECONDS = 1.2
"""After so long the page has drawn a figure that was displayed."""
_POINTS = {
    "best": {"size": 11, "symbol": "star", "color": COLORS["best"]},
    "untuned": {"size": 11, "symbol": "line-ew", "color": COLORS["baseline"]},
}


def panel_colors(panel: Panel) -> dict[str, str]:
    """Return the colours of a panel's curves: grey for training, blue for validation, then others."""
    colors: dict[str, str] = {}
    for name in panel.series:
        stage = "train" if name.startswith("train") else "validation"
        own = COLORS[stage] if name.startswith(("train", "val")) else PALETTE[0]
        free = (color for color in (own, *PALETTE[1:]) if color not in colors.values())
        colors[name] = next(free, own)
    return colors


class CurvesFigure:
    """One :class:`plotly.graph_objects.FigureWidget` a dashboard.

    Each FigureWidget adds some 5 MB to a saved notebook and is never collected, so panels are
    subplots of a single one and new curves are added in place.

    Parameters
    ----------
    data
        What is shown; call :meth:`update` after it has changed.
    """

    def __init__(self, data: CurveData, *, log_button: bool = False) -> None:
        self.data = data
        self.log_loss = False
        self.widget = new_plotly_figure(autosize=True, height=2 * _ROW)
        # fills the cell and follows the window; without it plotly stays at 700 px
        self.widget._config = {
            "responsive": True,
            "displaylogo": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d"],
        }
        self._log_button = log_button
        self._traces: dict[tuple[str, ...], Any] = {}
        self._shown: dict[tuple[str, ...], object] = {}
        self._fits, self._fit_at = 0, 0.0
        self._fitting: threading.Thread | None = None
        self.update()

    def update(self) -> None:
        """Send what has changed in few messages to the page."""
        panels = self.data.ordered()
        with self.widget.batch_update():
            for number, panel in enumerate(panels, 1):
                self._update_panel(number, panel)
            titles = {panel.title for panel in panels}
            for (title, *_), trace in self._traces.items():
                # the place of a panel that is not shown any more is another's
                if (trace.visible is False) == (title in titles):
                    trace.visible = title in titles
        places = [(panel.title, panel.baseline, bool(panel.series)) for panel in panels]
        texts = [f"<b>{panel.title}</b>  {_legend(panel)}" for panel in panels]
        texts[-1] += _rest(self.data)
        axis = _steps_title(self.data)
        if self._is_new(("", "places"), places):
            # as a whole: parts of axes and of lists that the page does not have yet get lost
            self.widget.layout = self._layout(panels, texts, axis)
            self._shown |= {("", "texts"): texts, ("", "axis"): axis}
        with self.widget.batch_update():
            if self._is_new(("", "texts"), texts):
                for annotation, text in zip(self.widget.layout.annotations, texts, strict=True):
                    annotation.text = text
            if self._is_new(("", "axis"), axis):
                for number in range(1, len(panels) + 1):
                    self.widget.layout[f"xaxis{_suffix(number)}"].title.text = axis
            if self._is_new(("", "log"), self.log_loss):
                self.widget.layout.yaxis.type = "log" if self.log_loss else "linear"

    def _update_panel(self, number: int, panel: Panel) -> None:
        for name, color in panel_colors(panel).items():
            series = panel.series[name]
            lines = name.startswith("train") or panel.title == "learning rate"
            style = {
                "mode": "lines" if lines else "lines+markers",
                "line": {"color": color, "width": 1.6},
                "marker": {"size": 4, "color": color},
            }
            key = panel.title, "curve", name
            if self._is_new(key, (number, series.version)):
                self._draw(number, panel, key, series.array(), style)
        points = {"best": panel.best, "untuned": None}
        if panel.baseline is not None:
            # a point, so that the axis makes room for the line and the mouse finds a name
            points["untuned"] = (0, 0, panel.baseline)
        for name, point in points.items():
            # a curve may be named 'best' as well, after its run
            key = panel.title, "mark", name
            if point is not None and self._is_new(key, (number, point)):
                array = np.array([point], dtype=np.float64)
                self._draw(number, panel, key, array, {"mode": "markers", "marker": _POINTS[name]})

    def _draw(
        self,
        number: int,
        panel: Panel,
        key: tuple[str, str, str],
        array: NDArray[np.float64],
        style: dict[str, Any],
    ) -> None:
        """Draw a curve of step, epoch and value, (n, 3), in the place of the panel of that number."""
        data = {
            "x": array[:, 0],
            "y": array[:, 2],
            "customdata": array[:, 1],
            "xaxis": f"x{_suffix(number)}",
            "yaxis": f"y{_suffix(number)}",
        }
        if key in self._traces:
            self._traces[key].update(data)
            return
        # with its points at once: the page loses what is sent between an empty curve and its next points
        name = key[-1]
        hover = _hover(name, panel.unit)
        trace = go.Scatter(name=name, showlegend=False, hovertemplate=hover, **data, **style)
        self.widget.add_trace(trace)
        self._traces[key] = self.widget.data[-1]

    def _is_new(self, key: tuple[str, ...], value: object) -> bool:
        if self._shown.get(key) == value:
            return False
        self._shown[key] = value
        return True

    def fit_soon(self) -> None:
        """Take the width of the cell once the page has drawn the figure; plotly keeps 700 px until asked."""
        self._fits, self._fit_at = 2, time.monotonic() + _DRAWN_SECONDS
        if self._fitting is None or not self._fitting.is_alive():
            self._fitting = threading.Thread(target=self._fit, daemon=True)
            self._fitting.start()

    def _fit(self) -> None:
        while self._fits and has_front_end():
            wait = self._fit_at - time.monotonic()
            if wait > 0:
                # shown once more meanwhile: a view that is not drawn yet cannot be asked
                time.sleep(wait)
                continue
            self._fits -= 1
            self._fit_at += _DRAWN_SECONDS
            self.widget.layout.autosize = False
            self.widget.layout.autosize = True

    def clear(self) -> None:
        """Empty all curves, as a run that was resumed has written some of its record anew."""
        self._shown.clear()
        with self.widget.batch_update():
            for trace in self._traces.values():
                trace.x, trace.y, trace.customdata = [], [], []

    def _layout(self, panels: Sequence[Panel], texts: list[str], steps: str) -> dict[str, Any]:
        columns = 1 if len(panels) == 1 else 2
        rows = math.ceil(len(panels) / columns)
        above = 56 if self._log_button else 30
        layout: dict[str, Any] = {
            # plotly cannot place a button on a figure without a point
            "updatemenus": [_LOG_BUTTON] if self._log_button and panels[0].series else [],
            "height": above + 8 + rows * _ROW,
            "margin": {"l": 60, "r": 20, "t": above, "b": 8},
            "template": template(),
        }
        annotations, shapes = [], []
        for number, panel in enumerate(panels, 1):
            suffix = _suffix(number)
            column, row = (number - 1) % columns, (number - 1) // columns
            left = column / columns + (0.04 if column else 0)
            right = (column + 1) / columns - (0.02 if column + 1 < columns else 0)
            top = 1 - row / rows
            bottom = top - (1 / rows) * 0.72
            layout[f"xaxis{suffix}"] = {
                "domain": [left, right],
                "anchor": f"y{suffix}",
                # what happened at a step is seen in all panels
                "matches": "x" if suffix else None,
                "title": {"text": steps, "standoff": 4},
            }
            layout[f"yaxis{suffix}"] = {
                "domain": [bottom, top],
                "anchor": f"x{suffix}",
                "title": {"text": panel.unit, "standoff": 4},
            }
            annotations.append(
                {
                    "text": texts[number - 1],
                    "x": left,
                    "y": top,
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "left",
                    "yanchor": "bottom",
                    "showarrow": False,
                }
            )
            if panel.baseline is not None:
                shapes.append(
                    {
                        "type": "line",
                        "xref": f"x{suffix} domain",
                        "yref": f"y{suffix}",
                        "x0": 0,
                        "x1": 1,
                        "y0": panel.baseline,
                        "y1": panel.baseline,
                        "line": {"color": COLORS["baseline"], "width": 1.6, "dash": "dash"},
                    }
                )
        return layout | {"annotations": annotations, "shapes": shapes}


# works in the page itself, while the kernel is busy with the fit
_LOG_BUTTON = {
    "type": "buttons",
    "direction": "left",
    "showactive": False,  # its colour is white, also on dark
    "x": 0,
    "y": 1,
    "xanchor": "left",
    "yanchor": "bottom",
    "pad": {"b": 20},
    "font": {"size": 10},
    "bgcolor": "rgba(0,0,0,0)",
    "bordercolor": GRID,
    "buttons": [
        {"label": f"{kind} loss", "method": "relayout", "args": [{"yaxis.type": kind}]}
        for kind in ("linear", "log")
    ],
}


def _suffix(number: int) -> str:
    return "" if number == 1 else str(number)


def _steps_title(data: CurveData) -> str:
    """Return the title of the axis of steps, which tells epochs too."""
    return f"step (epoch = {data.steps_per_epoch} steps)" if data.steps_per_epoch else "step"


def _hover(name: str, unit: str) -> str:
    return f"{name}<br>step %{{x}}, epoch %{{customdata}}<br>%{{y:.4g}} {unit}<extra></extra>"


def _rest(data: CurveData) -> str:
    """Return how many panels there is no room for, in words; nothing where there is."""
    return f" · {data.n_left_out()} further metrics not shown" if data.n_left_out() else ""


def _legend(panel: Panel) -> str:
    """Return coloured names and last values, in the place of a legend that would cover curves."""
    parts = []
    for name, color in panel_colors(panel).items():
        last = panel.series[name].last()
        short = {"validation": "val"}.get(name, name.removesuffix("/total_loss"))
        # the end of a run's name is what tells it from others
        short = short if len(short) <= 18 else f"…{short[-15:]}"
        parts.append(f'<span style="color:{color}">{short} {last:.3g}</span>')
    if panel.best is not None:
        best = f"★ {panel.best[2]:.3g} (epoch {panel.best[1]:.0f})"
        parts.append(f'<span style="color:{COLORS["best"]}">{best}</span>')
    if panel.baseline is not None:
        parts.append(
            f'<span style="color:{COLORS["baseline"]}">untuned {panel.baseline:.3g}</span>'
        )
    return " · ".join(parts)


def draw_curves(data: CurveData, *, log_loss: bool = False, title: str = "") -> Figure | None:
    """Draw the same panels with matplotlib; ``None`` where there is no point yet.

    The picture is kept until the data change.
    """
    key = (data.version, log_loss, title)
    if data.drawn is None or data.drawn[0] != key:
        data.drawn = (key, _draw(data, log_loss=log_loss, title=title))
    return data.drawn[1]


def _draw(data: CurveData, *, log_loss: bool, title: str) -> Figure | None:
    panels = [p for p in data.ordered() if any(len(s) for s in p.series.values())]
    if not panels:
        return None
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    figure, axes = new_figure(rows, columns, 5.2 * columns, 2.5 * rows)
    if title:
        figure.suptitle(title, fontsize=10)
    for ax, panel in zip(axes, panels, strict=False):
        if ax is not axes[0]:
            ax.sharex(axes[0])
        for name, color in panel_colors(panel).items():
            array = panel.series[name].array()
            ax.plot(array[:, 0], array[:, 2], color=color, label=name, lw=1.4)
        if panel.best is not None:
            step, epoch, value = panel.best
            label = f"best {value:.3g} (epoch {epoch:.0f})"
            ax.plot(step, value, "*", color=COLORS["best"], ms=10, label=label)
        if panel.baseline is not None:
            label = f"untuned {panel.baseline:.3g}"
            ax.axhline(panel.baseline, color=COLORS["baseline"], ls="--", lw=1.1, label=label)
        if log_loss and panel.title == "loss":
            ax.set_yscale("log")
        ax.set_title(panel.title + _rest(data) * (panel is panels[-1]), fontsize=10)
        ax.set_ylabel(panel.unit)
        ax.set_xlabel(_steps_title(data))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return figure
