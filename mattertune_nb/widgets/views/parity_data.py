"""Labels paired with predictions, in the units in which people read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.widgets.page.style import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mattertune_nb.config.task import PropertyName
    from mattertune_nb.data.datasets import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.widgets.page.export import Table

UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stresses": "meV/Å³"}
TITLES = {"energy": "energy", "forces": "forces", "stresses": "stress"}
_FAR = 3.0
"""A common error of the energy that is so many times the spread of the labels is taken off in plots."""


@dataclass(frozen=True)
class ParityData:
    """Components of one property, in meV units.

    Attributes
    ----------
    label, prediction
        All components, (m,); energies per atom.
    frame
        Frame of each component, (m,).
    norm
        Norm of the force label on the atom of each component, (m,); of energies and stresses, the
        largest in the frame; NaN where the frame has no forces.
    element
        Atomic number of the atom of each component, (m,); 0 where it belongs to a whole frame.
    relative
        Whether only differences of labels mean something, as of energies.
    """

    label: NDArray[np.float64]
    prediction: NDArray[np.float64]
    frame: NDArray[np.int64]
    norm: NDArray[np.float64]
    element: NDArray[np.int64] | None = None
    relative: bool = False

    @property
    def error(self) -> NDArray[np.float64]:
        """Prediction - label, (m,)."""
        return self.prediction - self.label

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.error).mean())

    @property
    def rmse(self) -> float:
        """Root mean square error."""
        return float(np.sqrt(np.square(self.error).mean()))

    @property
    def r2(self) -> float:
        """Coefficient of determination; NaN where all labels are the same."""
        spread = np.square(self.label - self.label.mean()).sum()
        return float(1 - np.square(self.error).sum() / spread) if spread > 0 else np.nan

    @property
    def zero(self) -> float:
        """What is taken off both axes: the mean label of energies, whose zero means nothing."""
        return float(self.label.mean()) if self.relative else 0.0

    @property
    def shift(self) -> float:
        """What is taken off the predictions in plots: an error common to all, where it hides the rest."""
        common = float(self.error.mean())
        far = self.relative and abs(common) > _FAR * max(float(self.label.std()), 1e-9)
        return common if far else 0.0

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what the axes show, (m,) each."""
        return self.label - self.zero, self.prediction - self.zero - self.shift

    def axis_titles(self, name: str) -> tuple[str, str]:
        """Return what the axes show in words."""
        unit = UNITS[name]
        if not self.relative:
            return f"label ({unit})", f"prediction ({unit})"
        return f"label − mean ({unit})", f"prediction − mean label ({unit})"

    def title(self, name: str) -> str:
        """Return the errors in a few lines."""
        value = self.r2
        r2 = f"R² {value:.4f}" if value > -10 else f"R² {number(value)}"
        r2 = "R² not defined" if np.isnan(value) else r2
        shifted = f"\npredictions shown shifted by {number(-self.shift)}" if self.shift else ""
        return (
            f"{TITLES[name]}: MAE {number(self.mae)} {UNITS[name]}\n"
            f"RMSE {number(self.rmse)}, {r2}{shifted}"
        )


def parity_data(model: FinetuneModuleBase, dataset: AtomsDataset) -> dict[PropertyName, ParityData]:
    """Predict a dataset and pair labels with predictions; properties without labels are left out."""
    names: tuple[PropertyName, ...] = ("energy", "forces", "stresses")
    labels = [dataset.labels(i, dict.fromkeys(names, "mask")) for i in range(len(dataset))]
    used = [i for i, found in enumerate(labels) if found]
    if not used:
        return {}
    frames = [dataset[i] for i in used]
    predictions = model.property_predictor().predict(frames)
    parts: dict[PropertyName, list[tuple[Any, ...]]] = {name: [] for name in names}
    for i, atoms, prediction in zip(used, frames, predictions, strict=True):
        norms: NDArray[np.float64] = np.full(len(atoms), np.nan)
        if "forces" in labels[i]:
            norms = 1000 * np.linalg.norm(np.asarray(labels[i]["forces"]), axis=1)
        for name in names:
            if name not in labels[i] or name not in prediction:
                continue
            share = len(atoms) if name == "energy" else 1
            label = np.ravel(labels[i][name]) / share
            guess = np.ravel(prediction[name]) / share
            of_atoms = name == "forces"
            norm = norms.repeat(3) if of_atoms else np.full(label.size, norms.max(initial=0))
            element = atoms.numbers.repeat(3) if of_atoms else np.zeros(label.size, int)
            frame = np.full(label.size, i)
            parts[name].append((1000 * label, 1000 * guess, frame, norm, element))
    found: dict[PropertyName, ParityData] = {}
    for name, rows in parts.items():
        if rows:
            columns: list[Any] = [np.concatenate(column) for column in zip(*rows, strict=True)]
            label, guess, frame, norm, element = columns
            found[name] = ParityData(label, guess, frame, norm, element, name == "energy")
    return found


def parity_numbers(data: Mapping[PropertyName, ParityData], dataset: AtomsDataset) -> Table:
    """Return a row a component: where it is from, and label, prediction and error of its property."""
    columns: dict[str, list[Any]] = {"frame": []}
    sizes = [len(values.label) for values in data.values()]
    for k, (name, values) in enumerate(data.items()):
        columns["frame"] += [dataset.source(i) for i in values.frame.tolist()]
        before, after = [""] * sum(sizes[:k]), [""] * sum(sizes[k + 1 :])
        for what in ("label", "prediction", "error"):
            title = f"{TITLES[name]} {what} ({UNITS[name]})"
            columns[title] = [*before, *getattr(values, what).tolist(), *after]
    return columns
