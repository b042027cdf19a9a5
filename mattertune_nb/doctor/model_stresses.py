"""Units, signs and order of stresses, judged by slopes and correlations with the untuned backbone."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.compared import correlation_of, slope_of
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.unit_finding import (
    CORRELATION,
    OFF,
    is_of_unit,
    some_finding,
    unit_finding,
)
from mattertune_nb.doctor.units import STRESS_UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

_FEWEST = 8
_ABOVE_ERROR = 3.0
"""A predicted stress that is this many times as large as the model's error tells the sign of the label."""

_KNOWN = 0.6
"""Fraction of frames whose stress is like that of a model, of which another sign is no error of the model."""

_UNLIKE = 0.5
_SHEAR = ("yz", "xz", "xy")


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
    is_odd[is_odd] = [is_of_unit(slope, STRESS_UNITS) for slope in slopes[is_odd].tolist()]
    if 0 < is_odd.sum() < is_sound.sum():
        yield some_finding("stress", slopes[is_odd], len(label), rows[is_odd].tolist(), case)


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


RULES = (stress_units,)
