"""After each validation: parity of a limited sample, and the structures with the largest errors."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
from ase.visualize.plot import plot_atoms

from mattertune_nb.config.properties import PROPERTIES, Property, by_importance, own_property
from mattertune_nb.data.plain import atoms_from_plain
from mattertune_nb.training.figures import new_figure
from mattertune_nb.widgets.page.picture import Drawing
from mattertune_nb.widgets.page.theme import BLUE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mattertune_nb.training.runs.run import Run

_COLUMNS = 3
"""Maximum number of structures side by side; with more, the text is too small in a narrow cell."""


class ValidationView:
    """Two pictures that are redrawn after each validation.

    Parameters
    ----------
    run
        The run whose ``validation.json`` is read.
    """

    title = "Validation"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._caption = W.HTML()
        self._parity = Drawing()
        self._worst = Drawing()
        self.widget = W.VBox([self._caption, self._parity, self._worst])
        self.clear()

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds a validation."""
        self._seen: float | None = None
        self._caption.value = "No validation yet."
        for image in (self._parity, self._worst):
            image.draw(None)

    def refresh(self) -> None:
        """Redraw the pictures if a validation has ended since."""
        file = self._run.directory.validation_file
        if not file.is_file() or file.stat().st_mtime == self._seen:
            return
        written = file.stat().st_mtime
        data = json.loads(file.read_text(encoding="utf-8"))
        self._parity.draw(draw_parity_sample(data["points"]))
        self._caption.value = (
            f"Validation after epoch {data['epoch'] + 1}, step {data['step']}: a sample of labels and "
            "predictions, and the structures with the largest errors."
        )
        # an older version stored no structures
        worst = [(atoms_from_plain(w["atoms"]), w) for w in data["worst"] if "atoms" in w]
        if worst:
            ranked_by = by_importance(map(about_property, data["points"]))[0]
            self._worst.draw(draw_worst(worst, ranked_by))
        self._seen = written


def about_property(name: str) -> Property:
    """Return what is known about a property; for a custom one the record has only the name."""
    own = own_property(name, "structure", key=None, unit="", config="")
    return PROPERTIES.get(name, own)


def draw_parity_sample(points: dict[str, list[list[float]]]) -> Figure:
    """Plot label against prediction for each property; energies relative to their mean."""
    arrays = {name: np.array(p, dtype=np.float64).reshape(-1, 2) for name, p in points.items()}
    finite = {name: array[np.isfinite(array).all(axis=1)] for name, array in arrays.items()}
    shown = {name: array for name, array in finite.items() if len(array)}
    figure, axes = new_figure(1, max(len(shown), 1), 3.3 * max(len(shown), 1), 3.0)
    for ax, (name, array) in zip(axes, shown.items(), strict=False):
        prop = about_property(name)
        title, unit = prop.title, prop.shown_unit
        values = prop.factor * array
        if prop.has_references:
            # all-electron energies differ by meV around many keV
            values = values - values[:, 0].mean()
        low, high = values.min(), values.max()
        ax.plot([low, high], [low, high], color="0.6", lw=1)
        ax.plot(values[:, 0], values[:, 1], ".", ms=3, alpha=0.5, color=BLUE)
        error = np.abs(values[:, 1] - values[:, 0]).mean()
        ax.set_title(f"{title}, MAE {error:.3g} {unit}", fontsize=9)
        ax.set_xlabel(f"label ({unit})", fontsize=8)
        ax.set_ylabel(f"prediction ({unit})", fontsize=8)
        ax.tick_params(labelsize=7)
    return figure


def draw_worst(frames: list[tuple[Any, dict[str, Any]]], prop: Property) -> Figure:
    """Draw structures side by side, each with its origin and its error for a property."""
    columns = min(_COLUMNS, len(frames))
    rows = math.ceil(len(frames) / columns)
    figure, axes = new_figure(rows, columns, 2.2 * columns, 2.2 * rows)
    for ax in axes[len(frames) :]:
        ax.set_axis_off()
    for ax, (atoms, worst) in zip(axes, frames, strict=False):
        plot_atoms(atoms, ax, rotation="10x,20y,0z")
        ax.set_axis_off()
        source = str(worst["source"]).rsplit(", ", 1)[-1]
        ax.set_title(f"{source}\n{prop.factor * worst['error']:.3g} {prop.shown_unit}", fontsize=8)
    return figure
