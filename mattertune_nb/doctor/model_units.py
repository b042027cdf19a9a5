"""Units, signs and order of labels, judged by slopes and correlations with the untuned backbone."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.compared import about_references, correlation_of, slope_of
from mattertune_nb.doctor.facts import groups
from mattertune_nb.doctor.finding import Finding, energies_per_atom
from mattertune_nb.doctor.unit_finding import NO_UNIT, OFF, unit_finding
from mattertune_nb.doctor.units import ENERGY_UNITS, FORCE_UNITS, STRESS_UNITS, nearest_unit, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.compared import EnergiesCompared

CORRELATION = 0.9
"""Below this a slope has no meaning."""

_FEWEST = 8
_DIRECTIONS = 0.75
"""Correlation that is enough for a slope that no model has by itself."""

_BESIDE_FORCES = 0.6
"""Correlation of energies that is enough where the forces are those that the model says."""

_CLEARER, _AS_WELL = 0.05, 0.22
"""Correlation by which one reading of energies is clearer; logarithms that differ less are as good."""

_ABOVE_ERROR = 3.0
"""A predicted stress that is this many times as large as the model's error tells the sign of the label."""

_KNOWN = 0.6
"""Fraction of frames whose stress is like that of a model, of which another sign is no error of the model."""

_FEWEST_ODD = 3
_SOUND = 1.45
_FEW_ALIKE, _MOST = 3, 0.8
_SHEAR = ("yz", "xz", "xy")
_LEAST_VARIATION = 1e-4  # eV/atom; a model's single precision varies by a tenth of it
_FAR = 8.0
_UNLIKE = 0.5


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
    told = [(forces.rows[k], float(slopes[k])) for k in np.flatnonzero(is_told)]
    odd = [(row, slope) for row, slope in told if _is_of_unit(slope / usual, FORCE_UNITS)]
    if odd:
        rows, values = zip(*odd, strict=True)
        yield _some_finding("forces", np.array(values), len(forces), list(rows), case)


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


def stress_units(case: Case) -> Iterator[Finding]:
    """Find stresses in another unit, with the opposite sign, in another order, or virials."""
    facts, predicted = case.facts, case.predicted
    if predicted is None:
        return
    label, guess = facts.stress[predicted.rows], predicted.stress
    has = np.isfinite(label).all(axis=1) & np.isfinite(guess).all(axis=1)
    if has.sum() < _FEWEST:
        return
    label, guess, volume = label[has], guess[has], facts.volume[predicted.rows[has]]
    correlation, slope = correlation_of(label, guess), slope_of(label, guess)
    virial = guess * volume[:, None]
    of_virial, virial_slope = correlation_of(label, virial), slope_of(label, virial)
    is_virial = abs(of_virial) >= CORRELATION and 1 / OFF < abs(virial_slope) < OFF
    if is_virial and (abs(of_virial) > abs(correlation) or not 1 / OFF < abs(slope) < OFF):
        sign, as_vasp = ("−", "") if virial_slope < 0 else ("", ", units.sign: vasp")
        yield Finding(
            "stress-is-virial",
            "error",
            f"the stresses are virials: their correlation with {sign}volume × stress of the untuned model "
            f"is {abs(of_virial):.2f}, with the stress itself {correlation:.2f}.",
            f"Declare this (units.stress_as: virial{as_vasp}), or write stress = {sign}virial / volume.",
            source=case.source,
            settings={"units.stress_as": "virial"} | ({"units.sign": "vasp"} if as_vasp else {}),
        )
        return
    # one pressure in all frames correlates with any other: what varies has to have the same sign
    varying = correlation_of(label - label.mean(axis=0), guess - guess.mean(axis=0))
    is_told = abs(correlation) >= CORRELATION and varying * correlation > 0
    if is_told and not 1 / OFF < slope < OFF:
        yield from unit_finding("stress", STRESS_UNITS, slope, correlation, case, "units.stress")
        return
    yield from _some_stresses(label, guess, predicted.rows[has], case)
    yield from _shear_order(label[:, 3:], guess[:, 3:], case)


def _some_stresses(
    label: NDArray[np.float64], guess: NDArray[np.float64], rows: NDArray[np.int64], case: Case
) -> Iterator[Finding]:
    """Yield the finding of stresses, (n, 6), of which some have another sign, or another unit, than most."""
    size, of_label = np.linalg.norm(guess, axis=1), np.linalg.norm(label, axis=1)
    likeness = (label * guess).sum(axis=1) / np.maximum(size * of_label, 1e-12)
    telling = (size > 0.5 * np.median(size)) & (of_label > 0)
    is_told = telling & (np.abs(likeness) >= CORRELATION)
    if is_told.sum() < max(_FEWEST, _KNOWN * telling.sum()):
        return
    slopes = likeness * of_label / np.maximum(size, 1e-12)
    slopes /= np.median(np.abs(slopes[is_told]))
    is_sound = is_told & (slopes > 1 / OFF) & (slopes < OFF)
    error = np.median(np.linalg.norm(label - guess, axis=1)[is_sound]) if is_sound.any() else np.inf
    is_odd = is_told & (size > _ABOVE_ERROR * error)
    is_odd[is_odd] = [_is_of_unit(slope, STRESS_UNITS) for slope in slopes[is_odd].tolist()]
    if _FEWEST_ODD <= is_odd.sum() < is_sound.sum():
        yield _some_finding("stress", slopes[is_odd], len(label), rows[is_odd].tolist(), case)


def _shear_order(
    shear: NDArray[np.float64], of_model: NDArray[np.float64], case: Case
) -> Iterator[Finding]:
    """Yield the finding of shear stresses, (n, 3), in an order other than Voigt's."""
    as_voigt = correlation_of(shear, of_model)
    if as_voigt >= _UNLIKE:
        return
    found = {order: _of_most(shear[:, list(order)], of_model) for order in permutations(range(3))}
    order, likeness = max(found.items(), key=lambda item: item[1])
    if likeness > CORRELATION:
        # component `order[k]` is the k-th of Voigt's
        names = [_SHEAR[order.index(k)] for k in range(3)]
        of_whom = "VASP's order " if order == (1, 2, 0) else ""
        yield Finding(
            "stress-order",
            "error",
            f"the shear components are in {of_whom or 'the order '}{' '.join(names)}: read that way, they "
            f"correlate {likeness:.2f} with the untuned model, in Voigt's order {as_voigt:.2f}.",
            "Write them as xx yy zz yz xz xy.",
            source=case.source,
        )


def _of_most(label: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    """Return the correlation over the nine tenths of the frames that agree best."""
    apart = np.abs(label - guess).max(axis=1)
    near = apart <= np.quantile(apart, 0.9)
    return correlation_of(label[near], guess[near])


def _is_of_unit(slope: float, known: Mapping[str, float]) -> bool:
    """Return whether a frame's labels are those of the others times a distant unit factor, or times −1."""
    if 1 / OFF < abs(slope) < OFF:
        return slope < 0
    return not 1 / _FAR < abs(slope) < _FAR and nearest_unit(abs(slope), known) is not None


def _some_finding(
    what: str, slopes: NDArray[np.float64], n_frames: int, rows: list[int], case: Case
) -> Finding:
    """Return the finding of labels of which some have another unit, or the other sign, than most."""
    typical = float(np.median(slopes))
    other = "the other sign" if typical < 0 else "another unit"
    verb = "are" if what == "forces" else "is"
    return Finding(
        f"{what}-unit",
        "error",
        f"the {what} of {len(rows)} of {n_frames} frames looked at {verb} {times(typical)} what the untuned "
        f"model says, with a correlation above {CORRELATION:g} in each: they have {other}.",
        "Convert them, or remove these frames.",
        case.facts.numbers_of(rows),
        case.source,
    )


def _is_far(slope: float) -> bool:
    """Return whether a model itself is never off by such a slope: of the other sign, or far from one."""
    return not 1 / _FAR < slope < _FAR


def _robust_slope(label: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    """Return the same from the half of the frames whose energies vary most."""
    a, b = label - np.median(label), guess - np.median(guess)
    half = np.abs(b) >= np.median(np.abs(b))
    return float(np.median(a[half] / b[half])) if b[half].all() else slope_of(a, b)


RULES = (force_units, energy_units, stress_units)
