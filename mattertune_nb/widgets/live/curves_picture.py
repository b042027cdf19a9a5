"""The curves of a run as a still picture, with the contents of the live figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.training.figures import log_axes, new_figure
from mattertune_nb.training.outcome.stages import REREFERENCED
from mattertune_nb.widgets.live.curves_layout import LINE_COLORS
from mattertune_nb.widgets.live.scales import (
    Scales,
    best_label,
    curve_label,
    kept_label,
    line_label,
    off_scale_label,
    panel_colors,
    smoothed,
    title_text,
)
from mattertune_nb.widgets.page.theme import GREEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mattertune_nb.widgets.live.series import CurveData, Panel

_DEFAULT = Scales()


def draw_curves(data: CurveData, *, scales: Scales = _DEFAULT, title: str = "") -> Figure | None:
    """Draw the panels with matplotlib; ``None`` if there are no points yet.

    The picture is cached until the data change.
    """
    with data.lock:
        key = (data.version, scales, title)
        if data.drawn is None or data.drawn[0] != key:
            data.drawn = (key, _draw(data, scales, title))
        return data.drawn[1]


def _draw(data: CurveData, scales: Scales, title: str) -> Figure | None:
    panels = [p for p in data.ordered() if any(len(s) for s in p.series.values())]
    if not panels:
        return None
    figure, axes = new_figure(len(panels), 1, 10.5, 0.5 + 1.55 * len(panels))
    kept = None if data.kept is None else scales.x(np.array([data.kept]), data)[0]
    if title:
        figure.suptitle(title, fontsize=10)
    for ax, panel in zip(axes, panels, strict=True):
        if ax is not axes[0]:
            ax.sharex(axes[0])
        ax.tick_params(which="both", labelbottom=ax is axes[-1], labelsize=8)
        _draw_panel(ax, panel, data, scales)
        if kept is not None:
            ax.axvline(kept, color=GREEN, ls=":", lw=1)
    if kept is not None:
        axes[0].set_title(kept_label(data), fontsize=8, color=GREEN)
    axes[-1].set_xlabel(scales.x_title(data), fontsize=9)
    return figure


def _draw_panel(ax: Axes, panel: Panel, data: CurveData, scales: Scales) -> None:
    smooths = scales.smooths(panel)
    for name, color in panel_colors(panel).items():
        points = panel.series[name].array()
        x, label = scales.x(points, data), curve_label(name, points[-1, 2])
        marker = "." if len(points) <= 60 else ""
        faint = 0.3 if smooths else 1.0
        ax.plot(x, points[:, 2], marker=marker, color=color, lw=1.3, alpha=faint, label=label)
        if smooths:
            ax.plot(x, smoothed(points[:, 2], scales.smoothing), color=color, lw=1.8)
    if panel.best is not None:
        x = scales.x(np.array([panel.best]), data)
        label = best_label(panel, panel.best)
        ax.plot(x, panel.best.value, "*", color=GREEN, ms=10, label=label)
    for name, value in panel.in_sight().items():
        color = LINE_COLORS[name == REREFERENCED]
        ax.axhline(value, color=color, ls="--", lw=1.1, label=line_label(name, value))
    if scales.is_log(panel):
        log_axes(ax, "y")
    ax.set_ylabel(panel.unit, fontsize=9)
    ax.grid(alpha=0.3)
    heading = [title_text(panel, data), *filter(None, [off_scale_label(panel)])]
    legend = ax.legend(
        title=_plain("<br>".join(heading)),
        fontsize=7.5,
        title_fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.05),
        frameon=False,
        alignment="left",
    )
    for text in legend.get_texts():
        text.set_text(_plain(text.get_text()))


def _plain(text: str) -> str:
    """Return a label of the live figure without its HTML."""
    return text.replace("<br>", "\n").replace("<b>", "").replace("</b>", "")
