"""Curves of a run: one plotly figure that is reused, and a still picture of the same data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from mattertune_nb.widgets.picture import new_figure, new_plotly_figure, png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mattertune_nb.widgets.series import CurveData, Panel

COLORS = {"train": "#8a8f98", "validation": "#2f7ed8", "best": "#2ca02c", "baseline": "#d9534f"}
_EXTRA = ("#2f7ed8", "#e8833a", "#2ca02c", "#9467bd", "#17becf", "#d9534f", "#8c564b", "#bcbd22")
_INK = "#7d828a"  # readable on white and on JupyterLab's dark grey
_GRID = "rgba(128,128,128,0.22)"
_ROW = 230  # px


def series_color(name: str, position: int) -> str:
    """Return the colour of a curve: grey for training, blue for validation, else by position."""
    if name.startswith("train"):
        return COLORS["train"]
    if name.startswith("val"):
        return COLORS["validation"]
    return _EXTRA[position % len(_EXTRA)]


class CurvesFigure:
    """One :class:`plotly.graph_objects.FigureWidget` a dashboard.

    Each FigureWidget adds some 5 MB to a saved notebook and is never collected, so panels are
    subplots of a single one and new curves are added in place.

    Parameters
    ----------
    data
        What is shown; call :meth:`update` after it has changed.
    """

    def __init__(self, data: CurveData) -> None:
        self.data = data
        self.widget = new_plotly_figure(autosize=True, height=2 * _ROW)
        # fills the cell and follows the window; without it plotly stays at 700 px
        self.widget._config = {"responsive": True, "displaylogo": False}
        self._traces: dict[tuple[str, str], Any] = {}
        self.log_loss = False
        self.update()

    def update(self) -> None:
        """Bring the figure up to date in a single message to the page."""
        panels = self.data.ordered()
        with self.widget.batch_update():
            for number, panel in enumerate(panels, 1):
                for position, (name, series) in enumerate(panel.series.items()):
                    array = series.array()
                    trace = self._trace(number, panel, name, series_color(name, position))
                    trace.x, trace.y, trace.text = array[:, 0], array[:, 2], array[:, 1].astype(int)
                if panel.baseline is not None:
                    # a curve and not a shape, so that the axis makes room for it
                    trace = self._trace(number, panel, "untuned", COLORS["baseline"], dash="dash")
                    trace.x, trace.y = [0, max(self.data.step, 1)], [panel.baseline] * 2
                    trace.text = [0, self.data.epoch]
                best = panel.best()
                if best is not None:
                    trace = self._trace(number, panel, "best", COLORS["best"], marker=True)
                    trace.x, trace.y, trace.text = [best[0]], [best[2]], [int(best[1])]
            layout = self._layout(panels)
            # lists are replaced as a whole: entries that are merged into them lose their anchors
            self.widget.layout.annotations = layout.pop("annotations")
            self.widget.update_layout(layout)

    def fit_to_cell(self) -> None:
        """Take the width of the cell; plotly keeps 700 px until it is asked again after display."""
        self.widget.layout.autosize = False
        self.widget.layout.autosize = True

    def clear(self) -> None:
        """Empty all curves, as a run that was resumed has written some of its record anew."""
        with self.widget.batch_update():
            for trace in self._traces.values():
                trace.x, trace.y, trace.text = [], [], []

    def _trace(
        self,
        number: int,
        panel: Panel,
        name: str,
        color: str,
        *,
        marker: bool = False,
        dash: str = "solid",
    ) -> Any:
        key = (panel.title, name)
        if key not in self._traces:
            suffix = "" if number == 1 else str(number)
            style: dict[str, Any] = {"mode": "lines+markers", "marker": {"size": 4, "color": color}}
            if marker:
                style = {
                    "mode": "markers",
                    "marker": {"size": 11, "symbol": "star", "color": color},
                }
            elif name.startswith("train") or dash != "solid" or panel.title == "learning rate":
                style = {"mode": "lines"}
            self.widget.add_trace(
                go.Scatter(
                    x=[],
                    y=[],
                    text=[],
                    name=name,
                    xaxis=f"x{suffix}",
                    yaxis=f"y{suffix}",
                    line={"color": color, "width": 1.6, "dash": dash},
                    hovertemplate=_hover(name, panel.unit),
                    showlegend=False,
                    **style,
                )
            )
            self._traces[key] = self.widget.data[-1]
        return self._traces[key]

    def _layout(self, panels: Sequence[Panel]) -> dict[str, Any]:
        columns = 1 if len(panels) == 1 else 2
        rows = math.ceil(len(panels) / columns)
        layout: dict[str, Any] = {
            "height": 40 + rows * _ROW,
            "margin": {"l": 60, "r": 20, "t": 30, "b": 40},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": _INK, "size": 12},
            "hovermode": "closest",
            "modebar": {"orientation": "v"},
        }
        annotations = []
        for number, panel in enumerate(panels, 1):
            suffix = "" if number == 1 else str(number)
            column, row = (number - 1) % columns, (number - 1) // columns
            left = column / columns + (0.04 if column else 0)
            right = (column + 1) / columns - (0.02 if column + 1 < columns else 0)
            top = 1 - row / rows
            bottom = top - (1 / rows) * 0.72
            axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "ticks": "outside"}
            layout[f"xaxis{suffix}"] = axis | {
                "domain": [left, right],
                "anchor": f"y{suffix}",
                "title": {"text": "step", "standoff": 4},
            }
            is_log = panel.title == "loss" and self.log_loss
            layout[f"yaxis{suffix}"] = axis | {
                "domain": [bottom, top],
                "anchor": f"x{suffix}",
                "type": "log" if is_log else "linear",
                "exponentformat": "power",
                "title": {"text": panel.unit, "standoff": 4},
            }
            annotations.append(
                {
                    "text": f"<b>{panel.title}</b>  {_legend(panel)}",
                    "x": left,
                    "y": top,
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "left",
                    "yanchor": "bottom",
                    "showarrow": False,
                }
            )
        return layout | {"annotations": annotations}


def _hover(name: str, unit: str) -> str:
    return f"{name}<br>step %{{x}}, epoch %{{text}}<br>%{{y:.4g}} {unit}<extra></extra>"


def _legend(panel: Panel) -> str:
    """Return coloured names and last values, in the place of a legend that would cover curves."""
    parts = []
    for position, (name, series) in enumerate(panel.series.items()):
        array = series.array()
        last = f" {array[-1, 2]:.3g}" if len(array) else ""
        short = name.removesuffix("/total_loss")
        parts.append(f'<span style="color:{series_color(name, position)}">{short}{last}</span>')
    best = panel.best()
    if best is not None:
        parts.append(
            f'<span style="color:{COLORS["best"]}">best {best[2]:.3g} (epoch {best[1]:.0f})</span>'
        )
    if panel.baseline is not None:
        parts.append(
            f'<span style="color:{COLORS["baseline"]}">untuned {panel.baseline:.3g}</span>'
        )
    return " · ".join(parts)


def draw_curves(data: CurveData, *, log_loss: bool = False) -> bytes | None:
    """Draw the same panels with matplotlib; ``None`` where there is no point yet.

    The picture is kept until the data change.
    """
    key = (data.version, log_loss)
    if data.drawn is None or data.drawn[0] != key:
        data.drawn = (key, _draw(data, log_loss=log_loss))
    return data.drawn[1]


def _draw(data: CurveData, *, log_loss: bool) -> bytes | None:
    panels = [p for p in data.ordered() if any(len(s) for s in p.series.values())]
    if not panels:
        return None
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    figure, axes = new_figure(rows, columns, 5.2 * columns, 2.5 * rows)
    for ax, panel in zip(axes, panels, strict=False):
        for position, (name, series) in enumerate(panel.series.items()):
            array = series.array()
            ax.plot(
                array[:, 0], array[:, 2], color=series_color(name, position), label=name, lw=1.4
            )
        best = panel.best()
        if best is not None:
            label = f"best {best[2]:.3g} (epoch {best[1]:.0f})"
            ax.plot(best[0], best[2], "*", color=COLORS["best"], ms=10, label=label)
        if panel.baseline is not None:
            label = f"untuned {panel.baseline:.3g}"
            ax.axhline(panel.baseline, color=COLORS["baseline"], ls="--", lw=1.1, label=label)
        if log_loss and panel.title == "loss":
            ax.set_yscale("log")
        ax.set_title(panel.title, fontsize=10)
        ax.set_ylabel(panel.unit)
        ax.set_xlabel("step")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return png(figure)
