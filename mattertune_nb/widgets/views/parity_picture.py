"""Parity plots as still pictures: for one model with its errors, for several side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.training.figures import color_bar, log_axes, new_figure
from mattertune_nb.widgets.page.theme import BLUE
from mattertune_nb.widgets.views.bins import histogram
from mattertune_nb.widgets.views.parity_colors import FORCE, MAX_POINTS, Coloring, coloring
from mattertune_nb.widgets.views.spread import draw_spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.widgets.views.parity_data import ParityData

_N_BINS = 60


def draw_parity(
    data: Mapping[PropertyName, ParityData],
    by: str = FORCE,
    distances: Mapping[int, NDArray[np.float64]] | None = None,
) -> Figure:
    """Draw the parity of each property above a histogram of its errors."""
    n = len(data)
    spread = any(values.has_spread for values in data.values())
    rows, heights = (3, [3.0, 1.0, 2.2]) if spread else (2, [3.0, 1.0])
    figure, axes = new_figure(rows, n, 3.9 * n, 1.15 * sum(heights), height_ratios=heights)
    if spread:
        for values, ax in zip(data.values(), axes[2 * n :], strict=True):
            draw_spread(ax, values)
    for values, ax, below in zip(data.values(), axes[:n], axes[n : 2 * n], strict=True):
        colors = coloring(by, values, np.arange(len(values)), distances)
        _draw(ax, values, values.title(), colors)
        counts, edges = histogram(values.error, _N_BINS)
        below.stairs(counts, edges, fill=True, color=BLUE)
        below.axvline(0, color="0.6", lw=1)
        log_axes(below, "y")
        below.set_xlabel(values.about.with_unit("error"), fontsize=8)
        below.set_ylabel("count", fontsize=8)
        below.tick_params(which="both", labelsize=7)
    return figure


def draw_stages(stages: Mapping[str, Mapping[PropertyName, ParityData]]) -> Figure:
    """Draw one row per property and one column per stage of a model; panels of a row share their axes."""
    names = list(next(iter(stages.values())))
    figure, axes = new_figure(len(names), len(stages), 3.9 * len(stages), 3.4 * len(names))
    panels = [(name, stage) for name in names for stage in stages]
    for ax, (name, stage) in zip(axes, panels, strict=True):
        values = stages[stage][name]
        colors = coloring(FORCE, values, np.arange(len(values)))
        _draw(ax, values, f"{stage}\n{values.title()}", colors)
    for i in range(len(names)):
        share_limits(axes[len(stages) * i : len(stages) * (i + 1)])
    return figure


def share_limits(axes: Sequence[Any]) -> None:
    """Give plots common limits that contain everything they show."""
    limits = [(*ax.get_xlim(), *ax.get_ylim()) for ax in axes]
    for ax in axes:
        ax.set_xlim(min(low for low, *_ in limits), max(high for _, high, *_ in limits))
        ax.set_ylim(min(low for _, _, low, _ in limits), max(high for *_, high in limits))


def _draw(ax: Any, values: ParityData, heading: str, colors: Coloring) -> None:
    x, y = values.points()
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    ax.plot(ends, ends, color="0.6", lw=1, zorder=0)
    if len(x) > MAX_POINTS:
        cells = ax.hexbin(x, y, gridsize=70, bins="log", mincnt=1, cmap="viridis")
        color_bar(cells, ax, "points")
    elif colors.values is None:
        ax.scatter(x, y, c=colors.colors, s=7, alpha=0.7, linewidths=0)
    else:
        low, high = colors.limits
        points = ax.scatter(
            x, y, c=colors.values, s=7, alpha=0.7, cmap="viridis", vmin=low, vmax=high, linewidths=0
        )
        color_bar(points, ax, colors.title)
    across, up = values.axis_titles()
    ax.set_title(heading, fontsize=8)
    ax.set_xlabel(across, fontsize=8)
    ax.set_ylabel(up, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.25)
