"""Energies beside the untuned model's that fall into two groups, as from two DFT settings or two units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.compared import about_references, spread_of
from mattertune_nb.doctor.facts import groups
from mattertune_nb.model.references import fit_references

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.facts import Facts

_FEWEST = 8
_LEAST_ENERGY = 0.03  # eV/atom
_APART = 2.5
"""Separation of two groups in units of the width of the wider one."""

_FEW_ALIKE = 5
_ROUNDS = 30
_BETTER = 6.0
"""Factor by which residual energies shrink with separate references for each of two groups; for two groups of
the same kind it is up to three."""


@dataclass(frozen=True)
class EnergyGroups:
    """Two groups of energies.

    Attributes
    ----------
    rows
        Positions of the predicted frames with an energy, (n,).
    of_part
        Which of these are in the smaller group, (n,).
    gap, width
        Separation of the groups, and width of the wider one, in eV/atom.
    by_element
        Whether they are apart only if each group has its own energy for each element.
    """

    rows: NDArray[np.int64]
    of_part: NDArray[np.bool_]
    gap: float
    width: float
    by_element: bool


def energy_groups(case: Case) -> EnergyGroups | None:
    """Return two groups of energies; ``None`` if they are one."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < 2 * _FEWEST:
        return None
    rows, left = predicted.rows[energies.which], energies.left
    for values in (left, _within_compositions(case.facts, rows, left)):
        of_part, gap, width = _two_groups(left if values is None else values)
        if gap > _APART * width and gap > _LEAST_ENERGY:
            return EnergyGroups(rows, of_part, gap, width, by_element=False)
    counts, offset = (
        case.facts.counts[rows],
        case.facts.energy[rows] - predicted.energy[energies.which],
    )
    found = _two_references(counts, offset, of_part)
    return None if found is None else EnergyGroups(rows, *found, by_element=True)


def _within_compositions(
    facts: Facts, rows: NDArray[np.int64], left: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return what is left of energies above the lowest frame of the same atoms; None where few have others.

    References of a few compositions go through either of two groups in each, so that three are left of two.
    """
    alike = [g for g in groups(facts.keys.composition[rows]) if len(g) >= _FEW_ALIKE]
    if len(alike) < 2 or sum(map(len, alike)) < len(rows):
        return None
    above = left.copy()
    for group in alike:
        above[group] -= left[group].min()
    return above


def _two_groups(left: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float, float]:
    """Return the smaller of two groups of values, (n,), their separation, and their width."""
    order = np.argsort(left)
    ordered = left[order]
    # a group of a few is a group of outliers
    least = max(3, len(left) // 12)
    k = max(range(least, len(left) - least + 1), key=lambda cut: _between(ordered, cut))
    low, high = ordered[:k], ordered[k:]
    width = max(float(np.quantile(part, 0.8) - np.quantile(part, 0.2)) for part in (low, high))
    of_part = np.zeros(len(left), bool)
    of_part[order[:k] if len(low) < len(high) else order[k:]] = True
    return of_part, float(np.median(high) - np.median(low)), width


def _two_references(
    counts: NDArray[np.int64], offset: NDArray[np.float64], of_part: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], float, float] | None:
    """Return the same for label − prediction, (n,) in eV, with separate energies per element for each group.

    Starts with a group, and assigns each frame to the group that explains it better; ``None`` if two groups
    explain hardly more than one.
    """
    least = max(_FEWEST, 3 * int(counts.any(axis=0).sum()))
    sizes = counts.sum(axis=1)
    before = spread_of(about_references(counts, offset))
    for _ in range(_ROUNDS):
        if not least <= of_part.sum() <= len(of_part) - least:
            return None
        fits = [fit_references(counts[part], offset[part])[0] for part in (of_part, ~of_part)]
        errors = np.array([(offset - counts @ fit) / sizes for fit in fits])
        nearer = np.abs(errors[0]) < np.abs(errors[1])
        if (nearer == of_part).all():
            break
        of_part = nearer
    width = spread_of(np.where(of_part, errors[0], errors[1]))
    gap = float(np.median(np.abs(errors[0] - errors[1])))
    if width * _BETTER > before or gap < max(_LEAST_ENERGY, _BETTER * width):
        return None
    return (of_part if 2 * of_part.sum() <= len(of_part) else ~of_part), gap, 2 * width


def _between(ordered: NDArray[np.float64], cut: int) -> float:
    """Return Otsu's criterion: the variance between two parts of sorted values."""
    low, high = ordered[:cut], ordered[cut:]
    return float(len(low) * len(high) * (high.mean() - low.mean()) ** 2)
