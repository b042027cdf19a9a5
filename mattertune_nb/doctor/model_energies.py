"""Energies from two DFT settings in one file, and energies that belong to another frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.doctor.compared import about_references
from mattertune_nb.doctor.energy_groups import energy_groups
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.mixed_units import mixed_units
from mattertune_nb.doctor.structure_kinds import are_other_structures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case

_FEWEST = 8
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
    """Find energies that fall into two groups, as from two DFT settings."""
    found, energies = energy_groups(case), case.energies
    if found is None or energies is None or any(mixed_units(case)):
        return
    if not case.is_model_guide_to_energies or are_other_structures(
        case.facts, found.rows, found.of_part, energies.guess
    ):
        return
    yield Finding(
        "mixed-settings",
        "warning",
        f"the energies fall into two groups {1000 * found.gap:.3g} meV/atom apart"
        f"{', each with an energy of its own for each element' if found.by_element else ''}, "
        f"{found.of_part.sum()} of {len(found.rows)} frames looked at in the smaller one, each "
        f"{1000 * found.width:.3g} wide.",
        "Two DFT settings, or two kinds of corrections, are mixed: keep one, or give each its own head.",
        case.facts.numbers_of(np.sort(found.rows[found.of_part])),
        case.source,
    )


RULES = (shifted_energies, mixed_settings)
