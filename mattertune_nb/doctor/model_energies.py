"""Energies from two DFT settings or units in one file, and energies that belong to another frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from mattertune_nb.doctor.compared import about_references, spread_of
from mattertune_nb.doctor.facts import groups
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.units import ENERGY_UNITS, nearest_unit, times
from mattertune_nb.model.references import fit_references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.facts import Facts

_FEWEST = 8
_LEAST_ENERGY = 0.03  # eV/atom
_APART = 2.5
"""Separation of two groups in units of the width of the wider one."""

_TOLD, _KINDS_APART, _VACUUM, _ALONE = 0.78, 4.0, 8.0, 2.0
"""Fraction of frames whose nearest structure is in the same group, which identifies two kinds of structures
(0.83 to 1, compared with up to 0.75 for two settings); weight of the composition; Å; covalent radii."""

_FEW_ALIKE = 5
_ROUNDS = 30
_ONE_RATIO = 0.1
"""Spread of the ratios of energies in two units."""

_BETTER = 6.0
"""Factor by which residual energies shrink with separate references for each of two groups; for two groups of
the same kind it is up to three."""

_SHIFTS = (1, -1, 2, -2)
_SMOOTH, _LEAST_SHIFT = 0.5, 0.001  # and eV/atom
_NARROWER, _NARROWER_ALONE = 1.7, 10.0
"""Factor by which residual energies shrink with those of another frame, with a model and without one."""


def shifted_energies(case: Case) -> Iterator[Finding]:
    """Find energies that belong to the previous or next frame."""
    facts, predicted = case.facts, case.predicted
    rows = np.arange(len(facts)) if predicted is None else predicted.rows
    guess = np.zeros(len(rows)) if predicted is None else predicted.energy
    known = np.isfinite(facts.energy[rows]) & np.isfinite(guess)
    rows, guess = rows[known], guess[known]
    # in a scan, e.g. of the volume, those of another frame may fit because of the model's own error
    if not len(rows) or _is_smooth(about_references(facts.counts[rows], facts.energy[rows])):
        return
    found: dict[int, NDArray[np.float64]] = {}
    for shift in (0, *_SHIFTS):
        other = rows + shift
        usable = (other >= 0) & (other < len(facts))
        usable[usable] = np.isfinite(facts.energy[other[usable]])
        if usable.sum() < 2 * _FEWEST:
            return
        energies = facts.energy[other[usable]] - guess[usable]
        left = about_references(facts.counts[rows[usable]], energies)
        # if energies are of two kinds, mixing both may be narrower by chance
        found[shift] = np.quantile(np.abs(left - np.median(left)), [0.5, 0.8])
    best = min(found, key=lambda shift: float(found[shift][1]))
    narrower = _NARROWER if predicted is not None else _NARROWER_ALONE
    if best and (found[best] * narrower + _LEAST_SHIFT < found[0]).all():
        where = f"{abs(best)} place{'s' if abs(best) > 1 else ''} {'after' if best > 0 else 'before'} it"
        yield Finding(
            "shifted-energies",
            "error",
            f"the energy of each frame stands {where}: read that way, one energy per element"
            f"{'' if predicted is None else ' beside the untuned model'} leaves {1000 * found[best][0]:.3g} "
            f"meV/atom unexplained in the median frame, as they stand {1000 * found[0][0]:.3g}.",
            "Read energies and structures again, one frame at a time, from the calculation.",
            source=case.source,
        )


def _is_smooth(energies: NDArray[np.float64]) -> bool:
    """Return whether consecutive values differ much less than other pairs."""
    steps = np.abs(np.diff(energies))
    # at random, as scans of several crystals one after the other repeat themselves
    apart = np.abs(energies - np.random.default_rng(0).permutation(energies))
    return bool(np.median(steps) < _SMOOTH * np.median(apart)) if len(steps) else True


def mixed_settings(case: Case) -> Iterator[Finding]:
    """Find energies that fall into two groups, as from two DFT settings or two units."""
    energies, predicted = case.energies, case.predicted
    if energies is None or predicted is None or len(energies) < 2 * _FEWEST:
        return
    which, left = energies.which, energies.left
    rows = predicted.rows[which]
    of_part, gap, width = _two_groups(left)
    is_apart = gap > _APART * width and gap > _LEAST_ENERGY
    if not is_apart:
        alike = _within_compositions(case.facts, rows, left)
        if alike is not None:
            of_part, gap, width = _two_groups(alike)
            is_apart = gap > _APART * width and gap > _LEAST_ENERGY
    if not is_apart:
        counts, offset = case.facts.counts[rows], case.facts.energy[rows] - predicted.energy[which]
        found = _two_references(counts, offset, of_part)
        if found is None:
            return
        of_part, gap, width = found
    in_unit = _unit_of_part(case.facts, rows, of_part)
    if in_unit is not None:
        part, unit, ratio = in_unit
        yield Finding(
            "mixed-units",
            "error",
            f"the energies of {part.sum()} of {len(which)} frames looked at are in {unit}: they are "
            f"{times(ratio)} what those of the others say of their atoms.",
            "Convert these energies to the unit of the others.",
            case.facts.numbers_of(np.sort(rows[part])),
            case.source,
        )
        return
    # a model that is off in the forces is so in some energies, too
    is_guide = case.forces is None or case.forces.is_guide_for(0)
    if not is_guide or _are_other_structures(case.facts, rows, energies.guess, of_part):
        return
    yield Finding(
        "mixed-settings",
        "warning",
        f"the energies fall into two groups {1000 * gap:.3g} meV/atom apart"
        f"{'' if is_apart else ', each with an energy of its own for each element'}, {of_part.sum()} of "
        f"{len(which)} frames looked at in the smaller one, each {1000 * width:.3g} wide.",
        "Two DFT settings, or two kinds of corrections, are mixed: keep one, or give each its own head.",
        case.facts.numbers_of(np.sort(rows[of_part])),
        case.source,
    )


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


def _unit_of_part(
    facts: Facts, rows: NDArray[np.int64], of_part: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], str, float] | None:
    """Return which of two groups is in another unit, (n,), the unit, and the ratio to the others."""
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
            return part, unit, ratio
    return None


def _are_other_structures(
    facts: Facts, rows: NDArray[np.int64], guess: NDArray[np.float64], of_part: NDArray[np.bool_]
) -> bool:
    """Return whether frames of a part have different structures from the rest: nearest to their own.

    For slabs, molecules or an element an untuned model may be off as much as for other DFT settings.
    """
    counts = facts.counts[rows]
    shares = counts[:, counts.any(axis=0)] / counts.sum(axis=1)[:, None]
    gaps = np.minimum(np.nan_to_num(facts.gaps[rows]).max(axis=1), _VACUUM)
    numbers = np.column_stack([
        np.log(facts.n_atoms[rows]), facts.periodic[rows].sum(axis=1), np.nan_to_num(facts.filling[rows]),
        gaps, np.minimum(facts.closest[rows], _ALONE), guess,
    ])  # fmt: skip
    spread = numbers.std(axis=0)
    points = np.column_stack(
        [
            numbers / np.where(spread > 0, spread, 1.0),
            _KINDS_APART * shares,
            _KINDS_APART * charges(facts, rows),
        ]
    )
    _, nearest = KDTree(points).query(points, k=2)
    itself = nearest[:, 0] == np.arange(len(rows))
    is_told = of_part[np.where(itself, nearest[:, 1], nearest[:, 0])] == of_part
    return bool((is_told[of_part].mean() + is_told[~of_part].mean()) / 2 > _TOLD)


def charges(facts: Facts, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the total charges that are written with frames, 0 where there is none, (n,)."""
    given = [facts.dataset.frame(row).info.get("charge") for row in rows.tolist()]
    known = [charge if isinstance(charge, (int, float, np.number)) else 0 for charge in given]
    return np.array(known, dtype=np.float64)


def _between(ordered: NDArray[np.float64], cut: int) -> float:
    """Return Otsu's criterion: the variance between two parts of sorted values."""
    low, high = ordered[:cut], ordered[cut:]
    return float(len(low) * len(high) * (high.mean() - low.mean()) ** 2)


RULES = (shifted_energies, mixed_settings)
