"""Labels far from the untuned backbone's predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.doctor.compared import spread_of, without_compressed
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.structure_kinds import charges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.compared import ForcesCompared
    from mattertune_nb.doctor.predicted import Predicted

_FEWEST = 8
_MISMATCH = 0.5
"""eV/atom left after fitting reference energies, MACE's own threshold."""

_FAR = 12.0
"""Robust standard deviations of an outlier, beyond what grows with the distortion; twice as many where it is
smaller than 0.25 eV/atom: single sound electrodes come up to 20."""

_LEAST_ENERGY, _PLAIN_ENERGY, _LEAST_FORCE = 0.03, 0.25, 1.5  # eV/atom, eV/atom, eV/Å
_FAR_FORCE, _STEEPER = 8.0, 8.0
_PRESSED = 0.7
"""Relative to the sum of two covalent radii; at closer distances an untuned model knows little of forces."""

_LENGTH = 1.0  # Å, converts a force error to an energy error
_GROWS = 0.6
"""Factor on the prediction, relative to its median, allowed as error: distorted frames are harder."""


_LEAST_ERROR = 0.3  # eV/Å, root mean square over the components
_FAR_ERROR, _STRAINED, _UNLIKE = 6.0, 1.2, 0.7
"""Times the usual error of the forces, and the size of the labels, and correlation, of a prediction whose
labels are those of another structure."""


def reference_mismatch(case: Case) -> Iterator[Finding]:
    """Find energies that reference energies explain too little."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < _FEWEST:
        return
    # a model of neutral structures is no guide to the energies of ions
    if charges(case.facts, predicted.rows[energies.which]).any():
        return
    if not case.is_model_guide_to_energies:
        return
    typical = float(np.median(np.abs(energies.left)))
    if typical > _MISMATCH:
        yield Finding(
            "reference-mismatch",
            "warning",
            f"after one reference energy per element the untuned model is still {1000 * typical:,.0f} "
            f"meV/atom off in the median frame (MACE warns above {1000 * _MISMATCH:.0f}).",
            "Check the unit of the energies, and that all come from calculations with the same settings.",
            source=case.source,
        )


def energy_outliers(case: Case) -> Iterator[Finding]:
    """Find energies far from the untuned model's, beyond what the distortion explains."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < _FEWEST:
        return
    which, guess = energies.which, energies.guess
    left = energies.left - np.median(energies.left)
    spread = spread_of(energies.left)
    beyond = (
        np.abs(left)
        - _GROWS * np.abs(guess - np.median(guess))
        - _doubt(case.forces, predicted)[which]
    )
    limit = max(_FAR * spread, min(2 * _FAR * spread, _PLAIN_ENERGY), _LEAST_ENERGY)
    odd = np.flatnonzero(beyond > limit)
    if len(odd) and len(odd) < 0.3 * len(which):
        worst = float(np.abs(left[odd]).max())
        yield Finding(
            "energy-outlier",
            "warning",
            f"the energies of {len(odd)} of {len(which)} frames looked at are up to {1000 * worst:,.0f} "
            f"meV/atom from the untuned model, {worst / max(spread, 1e-9):.0f} robust standard deviations.",
            "Check these calculations: did they converge, and do the energies belong to these structures?",
            case.facts.numbers_of(np.sort(predicted.rows[which[odd]])),
            case.source,
        )


def _doubt(forces: ForcesCompared | None, predicted: Predicted) -> NDArray[np.float64]:
    """Return the allowed energy error, in eV/atom, where the model is clearly worse for the forces as well.

    A wrong label leaves the forces of its frame as well predicted as those of others.
    """
    doubt: NDArray[np.float64] = np.zeros(len(predicted))
    if forces is not None:
        pairs = zip(forces.labels, forces.guesses, strict=True)
        errors = [np.sqrt(np.square(label - guess).mean()) for label, guess in pairs]
        at = np.searchsorted(predicted.rows, forces.rows)
        doubt[at] = np.maximum(np.array(errors) - 2 * np.median(errors), 0.0) * _LENGTH
    return doubt


def force_outliers(case: Case) -> Iterator[Finding]:
    """Find forces on single atoms far from the untuned model's, by element."""
    if case.forces is None or not case.forces.is_guide_for(0):
        return
    rows, labels = case.forces.rows, case.forces.labels
    numbers = np.concatenate([case.facts.dataset.frame(row).numbers for row in rows])
    frame = np.repeat(rows, [len(part) for part in labels])
    label, guess = np.concatenate(labels), np.concatenate(case.forces.guesses)
    error = np.linalg.norm(label - guess, axis=1)
    # the closer two atoms are, the more a model underestimates the forces, but not their direction
    square = np.square(guess).sum(axis=1)
    steeper = np.clip(
        (label * guess).sum(axis=1) / np.where(square > 0, square, 1.0), 1.0, _STEEPER
    )
    aside = np.linalg.norm(label - steeper[:, None] * guess, axis=1)
    beyond = aside - _GROWS * np.linalg.norm(guess, axis=1)
    beyond[case.facts.closest[frame] < _PRESSED] = 0.0
    is_odd = np.zeros(len(error), bool)
    for z in np.unique(numbers).tolist():
        of_element = numbers == z
        limit = max(_FAR_FORCE * 1.4826 * float(np.median(error[of_element])), _LEAST_FORCE)
        is_odd |= of_element & (beyond > limit)
    frames = np.unique(frame[is_odd])
    frames = without_compressed(case.facts, frames, np.array(rows))
    if len(frames) and len(frames) < 0.3 * len(rows):
        worst = max(np.flatnonzero(is_odd & np.isin(frame, frames)), key=lambda k: error[k])
        yield Finding(
            "force-outlier",
            "warning",
            f"in {len(frames)} of {len(rows)} frames looked at the force on an atom is up to "
            f"{error[worst]:.3g} eV/Å from the untuned model ({chemical_symbols[numbers[worst]]}), more "
            f"than {_FAR_FORCE:g} times the spread of its element.",
            "Check these calculations: did they converge, and do the forces belong to these atoms?",
            case.facts.numbers_of(frames),
            case.source,
        )


def unlike_forces(case: Case) -> Iterator[Finding]:
    """Find relaxed labels on structures that the untuned model finds strained, in forces and energy."""
    forces = case.forces
    if forces is None or len(forces) < _FEWEST or not forces.is_guide_for(0):
        return
    pairs = zip(forces.labels, forces.guesses, strict=True)
    sizes = np.array([[float(np.sqrt(np.square(part).mean())) for part in two] for two in pairs])
    errors = np.sqrt(np.maximum((sizes**2).sum(1) - 2 * forces.likeness * sizes.prod(1), 0.0))
    # of a distorted structure the labels are larger than what a model says, and no smaller
    is_off = (errors > max(_FAR_ERROR * np.median(errors), _LEAST_ERROR)) & (
        sizes[:, 1] > _STRAINED * sizes[:, 0]
    )
    is_off &= (forces.likeness < _UNLIKE) & _far_energies(case, forces)
    odd = np.flatnonzero(is_off)
    if len(odd) and len(odd) < 0.3 * len(forces):
        times = float(np.median(errors[odd]) / np.median(errors))
        yield Finding(
            "unlike-forces",
            "warning",
            f"the labels of {len(odd)} of {len(forces)} frames looked at do not belong to their structures: "
            f"the untuned model is {times:.0f} times as far off as usual in their forces, and predicts "
            f"{np.median(sizes[odd, 1]):.2g} eV/Å where the labels have {np.median(sizes[odd, 0]):.2g}.",
            "Check these frames: do species, positions and labels belong to one calculation?",
            case.facts.numbers_of([forces.rows[k] for k in odd]),
            case.source,
        )


def _far_energies(case: Case, forces: ForcesCompared) -> NDArray[np.bool_]:
    """Return for which frames with forces the energy is also far from the prediction, if it has one."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < _FEWEST:
        return np.ones(len(forces), bool)
    far = np.ones(len(predicted), bool)
    left = np.abs(energies.left - np.median(energies.left))
    far[energies.which] = left > _FAR * spread_of(energies.left)
    return far[np.searchsorted(predicted.rows, forces.rows)]


RULES = (reference_mismatch, energy_outliers, force_outliers, unlike_forces)
