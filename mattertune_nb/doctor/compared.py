"""Labels beside the untuned backbone's predictions for the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import median_abs_deviation

from mattertune_nb.config.properties import FORCES
from mattertune_nb.model.references import fit_references

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.doctor.facts import Facts
    from mattertune_nb.doctor.predicted import Predicted


_SMALL, _FEWEST_COMPONENTS = 0.5, 5.0
_GUIDE = 0.8
_NO_FORCE = 1e-3  # eV/Å
_COMPRESSED, _MOST = 1.1, 0.5
"""Density, relative to the median, and fraction of the frames as dense of which a model may know nothing."""


@dataclass(frozen=True)
class EnergiesCompared:
    """Energies per atom of the predicted frames that have one, minus one fitted energy per element.

    Attributes
    ----------
    which
        Positions of these frames in the sample, (m,).
    label, guess
        In eV/atom, each relative to its own reference energies, (m,).
    left
        Residual of label − prediction after fitting reference energies to it, (m,) in eV/atom.
    """

    which: NDArray[np.intp]
    label: NDArray[np.float64]
    guess: NDArray[np.float64]
    left: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.which)


@dataclass(frozen=True)
class ForcesCompared:
    """Forces of the predicted frames that have them.

    Attributes
    ----------
    rows
        Positions of these frames in the data set, (m,).
    labels, guesses
        Label and prediction of each, (n_atoms, 3) in eV/Å.
    """

    rows: list[int]
    labels: list[NDArray[np.float64]]
    guesses: list[NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def likeness(self) -> NDArray[np.float64]:
        """Cosine between each frame's forces and their prediction, (m,); 0 if either is zero."""
        pairs = zip(self.labels, self.guesses, strict=True)
        return np.array([float((unit(label) * unit(guess)).sum()) for label, guess in pairs])

    @cached_property
    def telling(self) -> NDArray[np.bool_]:
        """Which frames' forces are informative on their own, (m,).

        They are not small compared with the others, for which a model rarely has the right direction, and
        many components contribute: a few components can be turned into almost any other forces.
        """
        sizes = np.array([float(np.sqrt(np.square(guess).mean())) for guess in self.guesses])
        parts = np.array([_n_components(guess) for guess in self.guesses])
        return np.asarray((sizes > _SMALL * np.median(sizes)) & (parts >= _FEWEST_COMPONENTS))

    @cached_property
    def usual(self) -> float:
        """Median absolute likeness of the informative frames."""
        return float(np.median(np.abs(self.likeness[self.telling]))) if self.telling.any() else 0.0

    @cached_property
    def are_none(self) -> bool:
        """Whether symmetry leaves no force on any atom, so that forces say nothing of the model."""
        return max(float(np.abs(label).max()) for label in self.labels) < _NO_FORCE

    def is_guide_for(self, n_mended: int, share: float = 0.6) -> bool:
        """Return whether the model predicts the forces, as they stand or mostly after correction."""
        return self.usual > _GUIDE or n_mended > share * int(self.telling.sum())


def unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return forces as one vector of unit length; zero stays zero."""
    flat = np.ravel(values)
    length = float(np.linalg.norm(flat))
    return flat / length if length else flat


def _n_components(forces: NDArray[np.float64]) -> float:
    """Return the effective number of force components about as large as the largest."""
    squares = np.square(unit(forces))
    return float(1 / np.square(squares).sum()) if squares.any() else 0.0


def energies(facts: Facts, predicted: Predicted) -> EnergiesCompared | None:
    """Return energies beside their predictions, or ``None`` if no frame has one."""
    which = np.flatnonzero(
        np.isfinite(facts.energy[predicted.rows]) & np.isfinite(predicted.energy)
    )
    if not len(which):
        return None
    rows = predicted.rows[which]
    counts, label, guess = facts.counts[rows], facts.energy[rows], predicted.energy[which]
    return EnergiesCompared(
        which, *(about_references(counts, part) for part in (label, guess, label - guess))
    )


def forces(facts: Facts, predicted: Predicted) -> ForcesCompared | None:
    """Return forces beside their predictions, or ``None`` if no frame has them."""
    found = ForcesCompared([], [], [])
    for row, guess in zip(predicted.rows.tolist(), predicted.forces, strict=True):
        if guess is None:
            continue
        label = facts.dataset.labels(row, {FORCES: "mask"}).get(FORCES.name)
        if label is not None:
            found.rows.append(row)
            found.labels.append(np.asarray(label, dtype=np.float64))
            found.guesses.append(np.asarray(guess, dtype=np.float64))
    return found if found.rows else None


def about_references(
    counts: NDArray[np.int64], energies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return energies per atom minus one fitted energy per element, (n,)."""
    references, _ = fit_references(counts, energies)
    return np.asarray((energies - counts @ references) / counts.sum(axis=1))


def without_compressed(
    facts: Facts, odd: NDArray[np.intp], rows: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return those of the `odd` frames that are no crystals under a pressure at which most are odd.

    Parameters
    ----------
    facts
        The frames.
    odd, rows
        Positions of the frames whose labels are unlike the prediction, and of all that are compared.
    """
    filling = np.where(facts.periodic.all(axis=1), facts.filling, np.nan)
    limit = _COMPRESSED * np.median(filling[rows])
    is_known = [
        not filling[row] > limit or np.isin(rows[filling[rows] >= filling[row]], odd).mean() < _MOST
        for row in odd.tolist()
    ]
    return np.asarray(odd[np.array(is_known, dtype=bool)])


def spread_of(values: NDArray[np.float64]) -> float:
    """Return the robust standard deviation of values: 1.4826 times their median distance from the median."""
    return float(median_abs_deviation(values, scale="normal"))


def correlation_of(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Pearson's correlation over all components; zero if either does not vary."""
    a, b = np.ravel(a), np.ravel(b)
    if len(a) < 2 or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def slope_of(label: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    """Return the factor that best maps the prediction to the labels, by least squares."""
    a, b = np.ravel(label), np.ravel(guess)
    square = float(b @ b)
    return float(a @ b) / square if square else 1.0
