"""Errors against the spread of an ensemble, and how well they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.model.calibration import calibration
from mattertune_nb.training.figures import log_axes, new_figure
from mattertune_nb.widgets.page.picture import Drawing
from mattertune_nb.widgets.page.theme import BLUE, INK

if TYPE_CHECKING:
    from mattertune_nb.widgets.views.parity_data import ParityData

_MAX_POINTS = 5000
_FEWEST, _MOST_BINS, _PER_BIN = 16, 8, 4
"""Minimum number of components for a meaningful line of means, and the number of its points."""

_SMALLEST = 1e-6
"""Smallest error shown, because zero has no place on a logarithmic axis."""


class SpreadView(W.VBox):  # type: ignore[misc]
    """Text and picture below a parity plot; empty for a single model."""

    def __init__(self) -> None:
        self.words = W.HTML()
        self.image = Drawing()
        super().__init__([self.words, self.image], layout=W.Layout(display="none"))

    def show(self, values: ParityData) -> None:
        """Show the components of a property."""
        self.layout.display = None if values.has_spread else "none"
        if values.has_spread:
            figure, (ax,) = new_figure(1, 1, 4.4, 2.6)
            draw_spread(ax, values)
            self.image.draw(figure)
            told = f"Ensemble: {calibration(values.error, values.spread)}"
            self.words.value = escaped(unbroken(told))


def draw_spread(ax: Any, values: ParityData) -> None:
    """Plot the errors of a property against its spread, both on logarithmic axes."""
    shown = values.spread > 0
    if not values.has_spread or not shown.any():
        ax.set_axis_off()
        return
    spread, error = values.spread[shown], np.maximum(np.abs(values.error[shown]), _SMALLEST)
    kept = np.random.default_rng(0).permutation(len(spread))[:_MAX_POINTS]
    log_axes(ax)
    ax.plot(spread[kept], error[kept], ".", ms=3, alpha=0.4, color=BLUE)
    if len(spread) >= _FEWEST:
        n = min(_MOST_BINS, len(spread) // _PER_BIN)
        bins = np.array_split(np.argsort(spread), n)
        across, up = ([np.sqrt(np.mean(part[b] ** 2)) for b in bins] for part in (spread, error))
        ax.plot(across, up, "o-", color=INK, lw=1.5, ms=4, label="root mean square")
    ends = [spread.min(), spread.max()]
    ax.plot(ends, ends, "--", color="0.5", lw=1, label="error = spread")
    # beside the plot, whose points fill it from corner to corner
    ax.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    ax.set_xlabel(values.about.with_unit("spread of the ensemble"), fontsize=8)
    ax.set_ylabel(values.about.with_unit("absolute error"), fontsize=8)
    ax.tick_params(which="both", labelsize=7)
    ax.grid(alpha=0.25)
