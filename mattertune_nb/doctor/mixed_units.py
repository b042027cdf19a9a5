"""Energies of which some are in another unit than the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.compared import spread_of
from mattertune_nb.doctor.energy_groups import energy_groups
from mattertune_nb.doctor.facts import groups
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.units import ENERGY_UNITS, nearest_unit, times
from mattertune_nb.model.references import fit_references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.facts import Facts

_FEWEST, _FEWEST_ODD = 8, 3
_ONE_RATIO = 0.1
"""Spread of the ratios of energies in two units."""

_APART, _ALIKE = float(np.log(4)), float(np.log(1.4))
"""Logarithms of the ratio of energies of one composition in two units, and of ratios that count as one."""

_HALF = 0.25


def mixed_units(case: Case) -> Iterator[Finding]:
    """Find energies of which some are in another unit: by others of their composition, or by a model."""
    facts = case.facts
    found, n_compared = _within_compositions(facts), ""
    if found is None and (grouped := energy_groups(case)) is not None:
        found, n_compared = (
            _unit_of_part(facts, grouped.rows, grouped.of_part),
            f"{len(grouped.rows)} frames looked at",
        )
    if found is None:
        return
    rows, unit, ratio = found
    yield Finding(
        "mixed-units",
        "error",
        f"the energies of {len(rows)} of {n_compared or f'{len(facts)} frames'} are in {unit}: they are "
        f"{times(ratio)} what those of the others say of their atoms.",
        "Convert these energies to the unit of the others.",
        facts.numbers_of(rows),
        case.source,
    )


def _within_compositions(facts: Facts) -> tuple[NDArray[np.intp], str, float] | None:
    """Return which frames have an energy that others of their composition have in another unit.

    Returns
    -------
    tuple
        Their positions, the unit, and the ratio to the others.
    """
    usable = np.flatnonzero(np.isfinite(facts.energy) & (facts.energy != 0.0) & (facts.n_atoms > 0))
    per_atom = facts.energy[usable] / facts.n_atoms[usable]
    low: list[NDArray[np.intp]] = []
    high: list[NDArray[np.intp]] = []
    ratios = []
    for group in groups(facts.keys.composition[usable]):
        order = group[np.argsort(np.abs(per_atom[group]))]
        logs = np.log(np.abs(per_atom[order]))
        steps = np.diff(logs)
        # energies about zero have any ratio
        if len(order) < 2 or np.ptp(np.sign(per_atom[group])) or steps.max() < _APART:
            continue
        k = int(steps.argmax()) + 1
        if max(np.ptp(logs[:k]), np.ptp(logs[k:])) > min(steps[k - 1], _APART):
            return None
        low.append(usable[order[:k]])
        high.append(usable[order[k:]])
        ratios.append(float(np.median(logs[:k]) - np.median(logs[k:])))
    if sum(map(len, low + high)) < _FEWEST or np.ptp(ratios) > _ALIKE:
        return None
    ratio = float(np.exp(np.median(ratios)))
    n_low, n_high = sum(map(len, low)), sum(map(len, high))
    found = []
    for parts, to_others in ((low, ratio), (high, 1 / ratio)):
        rows = np.sort(np.concatenate(parts))
        off = abs(np.log(to_others * float(np.median(facts.n_atoms[rows]))))
        unit = nearest_unit(to_others, ENERGY_UNITS)
        name = " or ".join(filter(None, (unit, "eV/atom" if off < _ALIKE else None)))
        if name and len(rows) >= _FEWEST_ODD:
            off = min(off, abs(np.log(to_others / ENERGY_UNITS[unit]))) if unit else off
            found.append((off, rows, name, to_others))
    # those of which there are fewer are wrong; of halves, those that are a unit to more digits
    is_half = min(n_low, n_high) > _HALF * (n_low + n_high)
    found.sort(key=lambda reading: reading[0] if is_half else len(reading[1]))
    return found[0][1:] if found else None


def _unit_of_part(
    facts: Facts, rows: NDArray[np.int64], of_part: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], str, float] | None:
    """Return the same for two groups: which of them is in another unit by the references of the other."""
    counts, energies = facts.counts[rows], facts.energy[rows]
    for part in (of_part, ~of_part):
        fit, _ = fit_references(counts[~part], energies[~part])
        expected = counts[part] @ fit
        # nothing is expected for elements that the others lack
        if not expected.all() or (counts[part].any(axis=0) & ~counts[~part].any(axis=0)).any():
            continue
        ratios = energies[part] / expected
        ratio = float(np.median(ratios))
        if ratio <= 0 or spread_of(ratios) > _ONE_RATIO * ratio:
            continue
        unit = nearest_unit(ratio, ENERGY_UNITS, 1 + _ONE_RATIO)
        if unit is not None:
            return np.sort(rows[part]), unit, ratio
    return None


RULES = (mixed_units,)
