"""Units and signs of forces and energies, judged by slopes and correlations with the untuned backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.compared import about_references, correlation_of, slope_of
from mattertune_nb.doctor.facts import groups
from mattertune_nb.doctor.finding import Finding, energies_per_atom
from mattertune_nb.doctor.structure_kinds import are_other_structures
from mattertune_nb.doctor.unit_finding import (
    CORRELATION,
    FAR,
    NO_UNIT,
    OFF,
    is_of_unit,
    some_finding,
    unit_finding,
)
from mattertune_nb.doctor.units import ENERGY_UNITS, FORCE_UNITS, nearest_unit, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.compared import EnergiesCompared

_FEWEST = 8
_DIRECTIONS = 0.75
"""Correlation that is enough for a slope that no model has by itself."""

_BESIDE_FORCES = 0.6
"""Correlation of energies that is enough where the forces are those that the model says."""

_CLEARER, _AS_WELL = 0.05, 0.22
"""Correlation by which one reading of energies is clearer; logarithms that differ less are as good."""

_FEWEST_ODD, _SURE = 2, 0.95
_SOUND = 1.45
_FEW_ALIKE, _MOST = 3, 0.8
_NEAR, _FEW, _NARROW = 1.12, 0.4, 0.35
"""Factor by which a slope is that of a unit, fraction of such frames, and distance of most others from their
median relative to that of these frames."""

_LEAST_VARIATION = 1e-4  # eV/atom; a model's single precision varies by a tenth of it


def force_units(case: Case) -> Iterator[Finding]:
    """Find forces in another unit or with the opposite sign, in the whole set or in some frames."""
    forces = case.forces
    if forces is None:
        return
    label, guess = np.concatenate(forces.labels), np.concatenate(forces.guesses)
    correlation, slope = correlation_of(label, guess), slope_of(label, guess)
    slopes = np.array([slope_of(*pair) for pair in zip(forces.labels, forces.guesses, strict=True)])
    if abs(correlation) < min(CORRELATION, forces.usual):
        # a few frames of large forces hide what all the others say
        correlation = float(np.median(forces.likeness[forces.telling]))
        slope = float(np.median(slopes[forces.telling]))
    # a model that is right about directions alone is not off by tens, nor by the sign
    least = _DIRECTIONS if _is_far(slope) else CORRELATION
    if abs(correlation) >= least and not 1 / OFF < slope < OFF:
        if not 1 / NO_UNIT < slope < NO_UNIT or _energies_bear_out(case, slope):
            yield from unit_finding("forces", FORCE_UNITS, slope, correlation, case, "units.forces")
        return
    if not forces.is_guide_for(0):
        return
    # in single frames the bulk of the set is the measure: a frame's own slope has to be that of a unit to it
    is_told = forces.telling & (np.abs(forces.likeness) >= CORRELATION)
    usual = float(np.median(np.abs(slopes[is_told]))) if is_told.any() else 1.0
    told = np.flatnonzero(is_told)
    odd = [k for k in told if is_of_unit(slopes[k] / usual, FORCE_UNITS)]
    if not odd:
        # forces along the prediction have its slope, however few or small they are
        sure = np.flatnonzero(forces.likeness >= _SURE)
        is_odd = _are_of_near_unit(case, np.array(forces.rows)[sure], slopes[sure] / usual)
        odd = sure[is_odd].tolist()
    if odd:
        yield some_finding("forces", slopes[odd], len(forces), [forces.rows[k] for k in odd], case)


def _are_of_near_unit(
    case: Case, rows: NDArray[np.int64], slopes: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which frames' forces are in a unit by which a model may be off as well, eV/Bohr, (n,).

    Their slopes are those of the others times this unit, none is between, and their structures are no others.
    """
    logs = np.log(np.abs(slopes))
    is_odd = np.array(
        [nearest_unit(float(np.exp(log)), FORCE_UNITS, _NEAR) is not None for log in logs]
    )
    n_odd = int(is_odd.sum())
    if not _FEWEST_ODD <= n_odd < _FEW * len(slopes) or len(slopes) < _FEWEST:
        return np.zeros(len(slopes), bool)
    apart = np.abs(logs[is_odd]).min()
    usual = np.abs(logs[~is_odd])
    if np.quantile(usual, _MOST) > _NARROW * apart or are_other_structures(
        case.facts, rows, is_odd
    ):
        return np.zeros(len(slopes), bool)
    return is_odd


def energy_units(case: Case) -> Iterator[Finding]:
    """Find energies in another unit, with the opposite sign, or per atom."""
    energies = case.energies
    if energies is None or len(energies) < _FEWEST or energies.guess.std() < _LEAST_VARIATION:
        return
    if case.has_energies_per_atom:
        return
    correlation, slope = _energy_scale(case, energies)
    by_forces = _force_slope(case)
    # of a softer potential energies and forces are smaller by as much, and of none is it the unit
    is_soft = not _is_far(slope) and by_forces is not None and 1 / OFF < slope / by_forces < OFF
    # where the model knows the forces, it knows the energies by as much; no slope of another unit is chance
    least = _BESIDE_FORCES if by_forces is not None and _is_far(slope) else CORRELATION
    is_sound = is_soft or 1 / OFF < slope < OFF
    per_atom = _per_atom(case, energies, (correlation, slope), least, is_sound=is_sound)
    if per_atom is not None:
        yield per_atom
    elif abs(correlation) >= least and not is_sound:
        yield from unit_finding("energy", ENERGY_UNITS, slope, correlation, case, "units.energy")


def _per_atom(
    case: Case,
    energies: EnergiesCompared,
    as_given: tuple[float, float],
    least: float,
    *,
    is_sound: bool,
) -> Finding | None:
    """Return the finding of energies that fit the prediction as energies per atom, or as well in a unit."""
    assert case.predicted is not None
    rows = case.predicted.rows[energies.which]
    sizes = case.facts.n_atoms[rows]
    label = about_references(case.facts.counts[rows], case.facts.energy[rows] * sizes)
    correlation, slope = as_given
    likeness, share = _energy_scale(case, replace(energies, label=label))
    limit = NO_UNIT if _is_far(slope) else OFF
    if likeness < least or not 1 / limit < share < limit:
        return None
    off = abs(float(np.log(share)))
    is_clearer = likeness > correlation + _CLEARER and off < abs(np.log(abs(slope)))
    if is_sound and not is_clearer:
        return None
    # by the same limit as the other reading, or a model as far off would speak against a unit only
    unit = nearest_unit(slope, ENERGY_UNITS, limit) if slope > 0 and not is_clearer else None
    off_in_unit = abs(float(np.log(slope / ENERGY_UNITS[unit]))) if unit else np.inf
    if off > off_in_unit + _AS_WELL:
        return None
    measured = (
        f"they are {times(slope)} what the untuned model says (correlation {correlation:.2f}), and "
        f"multiplied by the {_span(sizes)} atoms of each frame {times(share)} ({likeness:.2f})."
    )
    if unit is None or off_in_unit > off + _AS_WELL:
        return energies_per_atom(f"the energies are per atom: {measured}", case.source)
    return Finding(
        "energy-per-atom" if off <= off_in_unit else "energy-unit",
        "error",
        f"the energies are per atom or in {unit}, which cannot be told apart here: {measured}",
        f"Look up which, and declare it (units.energy: eV/atom or {unit}).",
        source=case.source,
    )


def _span(sizes: NDArray[np.int64]) -> str:
    low, high = int(sizes.min()), int(sizes.max())
    return str(low) if low == high else f"{low} to {high}"


def _energy_scale(case: Case, energies: EnergiesCompared) -> tuple[float, float]:
    """Return correlation and slope of energies per atom and their prediction.

    If most frames share a composition with others, only differences within such groups are used: references
    of elements that always occur together leave differences between other frames partly to chance.
    """
    label, guess = energies.label, energies.guess
    if case.predicted is not None:
        rows = case.predicted.rows[energies.which]
        alike = [
            group for group in groups(case.facts.keys.composition[rows]) if len(group) >= _FEW_ALIKE
        ]
        if len(alike) > 1 and sum(map(len, alike)) >= _MOST * len(rows):
            label, guess = label.copy(), guess.copy()
            for group in alike:
                label[group] -= label[group].mean()
                guess[group] -= guess[group].mean()
            taken = np.concatenate(alike)
            label, guess = label[taken], guess[taken]
    correlation = correlation_of(label, guess)
    if abs(correlation) >= CORRELATION or not guess.std():
        return correlation, _robust_slope(label, guess)
    # of values with errors of their own a slope is too flat
    return correlation, float(np.copysign(label.std() / guess.std(), correlation))


def _force_slope(case: Case) -> float | None:
    """Return by what predicted forces are to be multiplied for the labels; None where they are unlike."""
    forces = case.forces
    if forces is None:
        return None
    label, guess = np.concatenate(forces.labels), np.concatenate(forces.guesses)
    is_known = forces.is_guide_for(0) or correlation_of(label, guess) > _DIRECTIONS
    return slope_of(label, guess) if is_known else None


def _energies_bear_out(case: Case, slope: float) -> bool:
    """Return whether energies are as large as the model says, so that smaller forces are in another unit."""
    energies = case.energies
    if energies is None or len(energies) < _FEWEST:
        return True
    correlation, of_energies = _energy_scale(case, energies)
    is_measure = correlation >= _BESIDE_FORCES and 1 / _SOUND < of_energies < _SOUND
    return is_measure and not 1 / _SOUND < slope / of_energies < _SOUND


def _is_far(slope: float) -> bool:
    """Return whether a model itself is never off by such a slope: of the other sign, or far from one."""
    return not 1 / FAR < slope < FAR


def _robust_slope(label: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    """Return the same from the half of the frames whose energies vary most."""
    a, b = label - np.median(label), guess - np.median(guess)
    half = np.abs(b) >= np.median(np.abs(b))
    return float(np.median(a[half] / b[half])) if b[half].all() else slope_of(a, b)


RULES = (force_units, energy_units)
