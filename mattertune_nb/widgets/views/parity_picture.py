"""Parity plots as still pictures: of one model in a row, of two beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.widgets.page.picture import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mattertune_nb.config.task import PropertyName
    from mattertune_nb.widgets.views.parity_data import ParityData

MAX_POINTS = 5000
"""More are shown as a density."""


def draw_parity(models: dict[str, dict[PropertyName, ParityData]]) -> Figure:
    """Draw parity plots; several models share the axes of each property."""
    names = list(next(iter(models.values())))
    rows, columns = (1, len(names)) if len(models) == 1 else (len(names), len(models))
    figure, axes = new_figure(rows, columns, 3.5 * columns, 3.4 * rows)
    panels = [(title, name) for name in names for title in models]
    for ax, (title, name) in zip(axes, panels, strict=True):
        _draw(ax, models[title][name], name, title)
    if len(models) > 1:
        for i in range(len(names)):
            pair = axes[columns * i : columns * (i + 1)]
            limits = [ax.get_xlim() for ax in pair], [ax.get_ylim() for ax in pair]
            for ax in pair:
                ax.set_xlim(min(low for low, _ in limits[0]), max(high for _, high in limits[0]))
                ax.set_ylim(min(low for low, _ in limits[1]), max(high for _, high in limits[1]))
    return figure


def _draw(ax: Any, values: ParityData, name: str, title: str) -> None:
    x, y = values.points()
    ends = [x.min(), x.max()]
    ax.plot(ends, ends, color="0.6", lw=1, zorder=0)
    if len(x) > MAX_POINTS:
        ax.hexbin(x, y, gridsize=70, bins="log", mincnt=1, cmap="viridis")
    else:
        finite = np.isfinite(values.norm)
        color = np.where(finite, values.norm, 0) if finite.any() else "#2f7ed8"
        ax.scatter(x, y, c=color, s=7, alpha=0.7, cmap="viridis", linewidths=0)
    heading = f"{title} {values.title(name)}" if title else values.title(name)
    across, up = values.axis_titles(name)
    ax.set_title(heading, fontsize=8)
    ax.set_xlabel(across, fontsize=8)
    ax.set_ylabel(up, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.25)
