"""Labels far from what the untuned backbone says, and sets of two kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.compared import ForcesCompared
    from mattertune_nb.doctor.predicted import Predicted

_FEWEST = 8
_MISMATCH = 0.5
"""eV/atom left after reference energies, MACE's own threshold."""

_FAR = 12.0
"""Robust standard deviations of an outlier, beyond what grows with the distortion."""

_LEAST_ENERGY, _LEAST_FORCE = 0.03, 1.5  # eV/atom, eV/Å
_FAR_FORCE = 8.0
_APART = 2.5
"""Times the width of the wider one that two groups are apart."""

_LENGTH = 1.0  # Å, from an error of the forces to one of the energy
_GROWS = 0.6
"""Times the prediction, about its median, that an error may be: a distorted frame is harder."""


def reference_mismatch(case: Case) -> Iterator[Finding]:
    """Find energies of which reference energies explain too little."""
    energies = case.energies
    if energies is None or len(energies) < _FEWEST:
        return
    typical = float(np.median(np.abs(energies.left)))
    if typical > _MISMATCH:
        yield Finding(
            "reference-mismatch",
            "warning",
            f"after one reference energy an element the untuned model is still {1000 * typical:,.0f} "
            f"meV/atom off in the median frame (MACE warns above {1000 * _MISMATCH:.0f}).",
            "Check the energies' unit and that all are from one calculation's settings.",
            source=case.source,
        )


def mixed_settings(case: Case) -> Iterator[Finding]:
    """Find energies that fall into two groups, as from two settings of DFT."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < 2 * _FEWEST:
        return
    which, left = energies.which, energies.left
    order = np.argsort(left)
    ordered = left[order]
    # a group of a few is one of outliers
    least = max(3, len(which) // 12)
    k = max(range(least, len(which) - least + 1), key=lambda cut: _between(ordered, cut))
    low, high = ordered[:k], ordered[k:]
    width = max(float(np.quantile(part, 0.8) - np.quantile(part, 0.2)) for part in (low, high))
    gap = float(np.median(high) - np.median(low))
    if gap > _APART * width and gap > _LEAST_ENERGY:
        part = order[:k] if len(low) < len(high) else order[k:]
        yield Finding(
            "mixed-settings",
            "warning",
            f"the energies fall into two groups {1000 * gap:.3g} meV/atom apart, {len(part)} of "
            f"{len(which)} frames looked at in the smaller one, each {1000 * width:.3g} wide.",
            "Two settings of DFT, or two kinds of corrections, are mixed: keep one.",
            case.facts.numbers_of(np.sort(predicted.rows[which[part]])),
            case.source,
        )


def _between(ordered: NDArray[np.float64], cut: int) -> float:
    """Return Otsu's criterion: the variance between two parts of sorted values."""
    low, high = ordered[:cut], ordered[cut:]
    return float(len(low) * len(high) * (high.mean() - low.mean()) ** 2)


def energy_outliers(case: Case) -> Iterator[Finding]:
    """Find energies far from what the untuned model says, beyond what grows with the distortion."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < _FEWEST:
        return
    which, guess = energies.which, energies.guess
    left = energies.left - np.median(energies.left)
    spread = 1.4826 * float(np.median(np.abs(left)))
    beyond = (
        np.abs(left)
        - _GROWS * np.abs(guess - np.median(guess))
        - _doubt(case.forces, predicted)[which]
    )
    odd = np.flatnonzero(beyond > max(_FAR * spread, _LEAST_ENERGY))
    if len(odd) and len(odd) < 0.3 * len(which):
        worst = float(np.abs(left[odd]).max())
        yield Finding(
            "energy-outlier",
            "warning",
            f"the energies of {len(odd)} of {len(which)} frames looked at are up to {1000 * worst:,.0f} "
            f"meV/atom from what the untuned model says, {worst / max(spread, 1e-9):.0f} robust standard "
            "deviations.",
            "Look at these calculations: did they converge, and are the energies those of these structures?",
            case.facts.numbers_of(np.sort(predicted.rows[which[odd]])),
            case.source,
        )


def _doubt(forces: ForcesCompared | None, predicted: Predicted) -> NDArray[np.float64]:
    """Return what an energy may be off, in eV/atom, where the model is plainly worse at the forces, too.

    A label that is wrong leaves the forces of its frame as well predicted as those of others.
    """
    doubt: NDArray[np.float64] = np.zeros(len(predicted))
    if forces is not None:
        pairs = zip(forces.labels, forces.guesses, strict=True)
        errors = [np.sqrt(np.square(label - guess).mean()) for label, guess in pairs]
        at = np.searchsorted(predicted.rows, forces.rows)
        doubt[at] = np.maximum(np.array(errors) - 2 * np.median(errors), 0.0) * _LENGTH
    return doubt


def force_outliers(case: Case) -> Iterator[Finding]:
    """Find forces on single atoms far from what the untuned model says, by element."""
    if case.forces is None:
        return
    rows, labels = case.forces.rows, case.forces.labels
    numbers = np.concatenate([case.facts.dataset.frame(row).numbers for row in rows])
    frame = np.repeat(rows, [len(part) for part in labels])
    label, guess = np.concatenate(labels), np.concatenate(case.forces.guesses)
    error = np.linalg.norm(label - guess, axis=1)
    beyond = error - _GROWS * np.linalg.norm(guess, axis=1)
    found: list[int] = []
    worst: tuple[float, str] = (0.0, "")
    for z in np.unique(numbers).tolist():
        of_element = numbers == z
        limit = max(_FAR_FORCE * 1.4826 * float(np.median(error[of_element])), _LEAST_FORCE)
        odd = np.flatnonzero(of_element & (beyond > limit))
        if len(odd):
            found += frame[odd].tolist()
            worst = max(worst, (float(error[odd].max()), chemical_symbols[z]))
    frames = sorted(set(found))
    if frames and len(frames) < 0.3 * len(rows):
        yield Finding(
            "force-outlier",
            "warning",
            f"in {len(frames)} of {len(rows)} frames looked at the force on an atom is up to "
            f"{worst[0]:.3g} eV/Å from what the untuned model says ({worst[1]}), {_FAR_FORCE:g} "
            "times the spread of its element.",
            "Look at these calculations: did they converge, and do the forces belong to these atoms?",
            case.facts.numbers_of(frames),
            case.source,
        )


RULES = (reference_mismatch, mixed_settings, energy_outliers, force_outliers)
