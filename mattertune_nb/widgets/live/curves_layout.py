"""The layout of the curves: panels stacked on a common axis, with legends beside them, and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from plotly.subplots import make_subplots

from mattertune_nb.training.outcome.stages import REREFERENCED
from mattertune_nb.widgets.live.scales import curve_label, line_label, off_scale_label, title_text
from mattertune_nb.widgets.page.theme import GREEN, RED, template

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from mattertune_nb.widgets.live.series import CurveData, Panel

LINE_COLORS = (RED, "#e8833a")
_TOP, _BOTTOM, _LEFT, _RIGHT = 24, 44, 64, 206  # px
# px; the legend of an error has two dashed lines and a star besides two curves
_ROW, _ROW_OF_ERRORS = 116, 142
_LINE, _GAP = 14, 5  # px; of a line in a legend, and between its entries
_LONGEST = 1.23e-5  # no value has more letters
_LEGEND = {
    "x": 1.01,
    "yanchor": "top",
    "yref": "paper",
    "font": {"size": 11},
    "tracegroupgap": 0,
    "itemwidth": 30,
    "bgcolor": "rgba(0,0,0,0)",
}


def curves_layout(panels: Sequence[Panel], log: Sequence[bool], most: int = 0) -> go.Layout:
    """Return panels stacked on one horizontal axis, each with its legend beside it.

    If there were more before, `most`, the surplus axes are hidden, because a page keeps them.
    """
    n_panels = len(panels)
    rows = [_row_height(panel) for panel in panels]
    height = _TOP + _BOTTOM + sum(rows)
    figure = make_subplots(
        n_panels, 1, shared_xaxes=True, vertical_spacing=0.16 / n_panels, row_heights=rows
    )
    layout = figure.layout
    for number, (panel, is_log) in enumerate(zip(panels, log, strict=True), 1):
        suffix = axis_suffix(number)
        axis = layout[f"yaxis{suffix}"]
        axis.update(_value_axis(panel, is_log))
        layout[f"legend{suffix}"] = _LEGEND | {"y": axis.domain[1]}
        if number > 1:
            # plotly's hover line stays within one axis, whatever axes match it
            layout[f"xaxis{suffix}"] = None
    for number in range(n_panels + 1, most + 1):
        layout[f"yaxis{axis_suffix(number)}"] = {
            "visible": False,
            "domain": [0, 0.001],
            "anchor": "x",
        }
    layout.xaxis.update(
        anchor=f"y{axis_suffix(n_panels)}", matches=None, showticklabels=True, rangemode="tozero"
    )
    layout.update(
        template=template(),
        autosize=True,
        height=height,
        margin={"l": _LEFT, "r": _RIGHT, "t": _TOP, "b": _BOTTOM, "autoexpand": False},
        showlegend=True,
        hovermode="x unified",
        hoversubplots="axis",
        hoverdistance=-1,
        hoverlabel={"font": {"size": 11}},
    )
    return layout


def _value_axis(panel: Panel, is_log: bool) -> dict[str, Any]:
    return {
        "anchor": "x",
        "visible": True,
        "title": {"text": panel.unit, "font": {"size": 11}},
        "type": "log" if is_log else "linear",
        # plotly's own have powers of ten, and numbers such as 2 and 5 between them
        "tickformat": "~g" if is_log else None,
        "showticklabels": bool(panel.series or panel.lines),
        # a line at the very edge would be taken for the frame
        "autorangeoptions": {"include": included(panel, is_log)},
        # of more than a decade plotly else tells each of 1, 2, 3 …, one upon the other
        "nticks": 3 if is_log else 5,
    }


def included(panel: Panel, is_log: bool) -> list[float]:
    """Return the range of an axis that must be visible besides its curves.

    On a logarithmic axis plotly ignores the other curves, so their limits are included, in steps of 12 %.
    """
    lines = [f * v for v in panel.in_sight().values() for f in (0.95, 1.05)]
    values = [series.array()[:, 2] for series in panel.series.values() if len(series)]
    if not (is_log and lines and values):
        return lines
    logs = 20 * np.log10([v for v in np.concatenate(values) if v > 0] or lines)
    return [
        *lines,
        float(10 ** (np.floor(logs.min()) / 20)),
        float(10 ** (np.ceil(logs.max()) / 20)),
    ]


def _row_height(panel: Panel) -> int:
    """Return the height of a panel in pixels, with room for a legend that fills during the run."""
    labels = [curve_label(name, _LONGEST) for name in panel.series]
    curves = sum(_GAP + _LINE * (1 + label.count("<br>")) for label in labels)
    room = max(curves - 2 * (_GAP + _LINE), 0)
    return (_ROW_OF_ERRORS if panel.unit else _ROW) + room


def curve_lines(panels: Sequence[Panel], kept: float | None, text: str) -> go.Figure:
    """Return a figure whose layout has the lines known from the start, and those of the kept weights."""
    figure = make_subplots(len(panels), 1, shared_xaxes=True)
    for number, panel in enumerate(panels, 1):
        for name, value in panel.in_sight().items():
            figure.add_hline(
                value,
                row=number,
                col=1,
                exclude_empty_subplots=False,
                line={"color": LINE_COLORS[name == REREFERENCED], "width": 1.6, "dash": "dash"},
                name=line_label(name, value),
                showlegend=True,
                legend=f"legend{axis_suffix(number)}",
            )
    figure.update_shapes(xref="x domain")
    if kept is not None:
        line = {"color": GREEN, "width": 1, "dash": "dot"}
        figure.add_shape(type="line", x0=kept, x1=kept, y0=0, y1=1, yref="paper", line=line)
        figure.add_annotation(
            text=text, x=kept, y=1, yref="paper", yanchor="bottom", showarrow=False,
            font={"color": GREEN, "size": 11},
        )  # fmt: skip
    return figure


def heading(panel: Panel, data: CurveData) -> str:
    """Return the text above a panel's legend: its title, and the lines that are off scale."""
    off_scale = off_scale_label(panel)
    told = f'<br><span style="color:{RED}">{off_scale}</span>' if off_scale else ""
    return title_text(panel, data) + told


def axis_suffix(number: int) -> str:
    """Return the suffix of plotly's name for an axis or a legend, counted from 1."""
    return "" if number == 1 else str(number)
