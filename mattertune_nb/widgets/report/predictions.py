"""Accuracy of a run's best weights: parity, and the structures with the largest errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.properties import FORCES, by_importance
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.training.outcome.models import label_keys
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.report.html import paragraph, picture, table
from mattertune_nb.widgets.views.pairs import parity_data
from mattertune_nb.widgets.views.parity_picture import draw_parity
from mattertune_nb.widgets.views.shown import Shown
from mattertune_nb.widgets.views.structure_picture import draw_structure
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mattertune_nb.config.properties import Property, PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.training.runs.run import Run
    from mattertune_nb.widgets.views.parity_data import ParityData

N_WORST = 6
MAX_FRAMES = 300
"""If there are more structures, this many are predicted, evenly spread."""


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of some structures.

    Attributes
    ----------
    frames
        The structures.
    data
        Labels and predictions by property, in meV units.
    total
        Total number of structures to choose from.
    learnt
        Properties that the model was trained on.
    """

    frames: AtomsDataset
    data: dict[PropertyName, ParityData]
    total: int
    learnt: Sequence[Property]

    @property
    def ranked_by(self) -> PropertyName:
        """The property whose errors rank the structures: forces if trained, else the first that was."""
        known = [prop for prop in self.learnt if prop.name in self.data]
        return by_importance(known or [values.about for values in self.data.values()])[0].name

    def errors(self) -> NDArray[np.float64]:
        """Return the mean absolute error of each structure, (n,); NaN if it has no label."""
        values = self.data[self.ranked_by]
        n = len(self.frames)
        sums = np.bincount(values.frame, np.abs(values.error), n)
        counts = np.bincount(values.frame, minlength=n)
        errors: NDArray[np.float64] = np.full(n, np.nan)
        return np.divide(sums, counts, out=errors, where=counts > 0)


def predict(run: Run, dataset: Any = None) -> Predictions:
    """Predict structures with the best weights of a run; by default its validation set.

    Raises
    ------
    MatterTuneError
        There is no checkpoint, or the structures cannot be read or have no labels.
    """
    model = run.model()
    if dataset is None:
        frames = datasets_of(run.directory)["validation"]
    else:
        frames = open_structures(dataset, label_keys(run.path))
    total = len(frames)
    if total > MAX_FRAMES:
        frames = frames.take(evenly_spread(total, MAX_FRAMES))
    return Predictions(frames, parity_data(model, frames), total, model.hparams.learnt)


def parity(predictions: Predictions) -> str:
    """Return parity plots and a table of errors."""
    n, total = len(predictions.frames), predictions.total
    part = f"{number(n)} of {number(total)} frames, evenly spread," if n < total else f"{n} frames"
    rows = [
        [v.about.with_unit(v.about.title), number(v.mae), number(v.rmse), v.r2_words()]
        for v in predictions.data.values()
    ]
    return (
        paragraph(f"Best weights on {part} of {predictions.frames.name}.", "faint")
        + picture(draw_parity(predictions.data), "Labels against predictions")
        + table(["", "MAE", "RMSE", "R²"], rows)
    )


def worst(predictions: Predictions) -> str:
    """Return the structures with the largest errors, their atoms coloured by force error."""
    errors = predictions.errors()
    about = predictions.data[predictions.ranked_by].about
    order = np.argsort(-np.nan_to_num(errors, nan=-1.0))[:N_WORST]
    parts = []
    for i in (int(i) for i in order if np.isfinite(errors[i])):
        atoms = predictions.frames[i]
        caption = (
            f"{PurePath(predictions.frames.source(i)).name}: {number(errors[i])} {about.shown_unit}"
        )
        shown = Shown(
            atoms, values=_of_atoms(predictions, i), label=FORCES.with_unit("force error")
        )
        title = f"{atoms.get_chemical_formula()}, {caption}"
        parts.append(picture(draw_structure(shown), title, caption))
    said = f"Mean absolute error of the {about.title} in each of the {len(parts)} worst structures."
    return paragraph(said, "faint") + f'<div class="pairs">{"".join(parts)}</div>'


def _of_atoms(predictions: Predictions, i: int) -> NDArray[np.float64] | None:
    """Return the norm of the force error of each atom, (n,) in meV/Å, if there are labels."""
    values = predictions.data.get(FORCES.name)
    if values is None or not (values.frame == i).any():
        return None
    error = values.error[values.frame == i]
    norms: NDArray[np.float64] = np.linalg.norm(error.reshape(-1, 3), axis=1)
    return norms
