"""Rules about pairs of frames: duplicates, contradictory labels, steps of a trajectory."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.division.trajectory import root_mean_square, shortest_way
from mattertune_nb.data.sketch import UNIT
from mattertune_nb.doctor.facts import groups
from mattertune_nb.doctor.finding import Finding
from mattertune_nb.doctor.units import ENERGY_UNITS, nearest_unit, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.facts import Facts

_NEAR = 0.01  # Å, root mean square over the atoms, of structures whose labels have to agree
_SAME = 0.001  # Å, of the atom that is farthest off, of those that are one structure
_EQUAL = 1e-5  # Å, of what was written twice
_UNEXPLAINED = 0.005  # eV/atom
_STEP = 0.2  # Å, up to which the mean force over a step gives the energy change
_FEWEST_STEPS = 10
_CORRELATION = 0.9
_OFF = 1.5
_REACH = 5 * _NEAR / UNIT
"""Distance of the sketches of such structures; random displacements of that size cause a third of it."""

_NEIGHBOURS = 8
"""Structures that each is compared with, the nearest: of many that hardly differ, all pairs take minutes."""


def duplicates(case: Case) -> Iterator[Finding]:
    """Find structures that occur more than once, with the same or with different labels."""
    facts = case.facts
    same: set[int] = set()
    differ: list[tuple[float, int, int]] = []
    is_step = cache(partial(_is_small_step, facts))
    for i, j, way in _close_pairs(facts):
        difference = abs(_change(facts, i, j, way)) / facts.n_atoms[i]
        distance = float(np.linalg.norm(way, axis=1).max())
        if difference > _UNEXPLAINED:
            differ.append((float(difference), i, j))
        elif distance <= _EQUAL or (
            # small steps that lead from one frame to the other are the end of a relaxation
            distance <= _SAME and not all(is_step(k) for k in range(i, j))
        ):
            same |= {i, j}
    if differ:
        most, i, j = max(differ)
        rows = sorted({row for _, *pair in differ for row in pair})
        a, b = facts.numbers_of([i, j])
        yield Finding(
            "differing-labels",
            "error",
            f"{len(rows)} of {len(facts)} frames are structures that occur again with a different energy: "
            f"frames {a} and {b} differ by {1000 * most:.3g} meV/atom more than their forces explain.",
            "Two DFT settings are mixed, or labels belong to other frames: keep those of one calculation.",
            facts.numbers_of(rows),
            case.source,
        )
    if same:
        yield Finding(
            "duplicates",
            "warning",
            f"{len(same)} of {len(facts)} frames are structures that occur more than once, to "
            f"{_SAME:g} Å, with the same labels.",
            "Keep one of each: the others add weight but no information.",
            facts.numbers_of(sorted(same)),
            case.source,
        )


def energies_against_forces(case: Case) -> Iterator[Finding]:
    """Find trajectories along which the energy does not change as the forces require."""
    facts = case.facts
    ways = ((i, _step(facts, i)) for i in range(len(facts) - 1))
    steps = [(i, way) for i, way in ways if way is not None]
    change = np.array([facts.energy[i + 1] - facts.energy[i] for i, _ in steps])
    work = np.array([_work(facts, i, i + 1, way) for i, way in steps])
    if len(steps) < _FEWEST_STEPS or not work.std() or not change.std():
        return
    correlation = float(np.corrcoef(change, work)[0, 1])
    slope = float(change @ work / (work @ work))
    if abs(correlation) < _CORRELATION or 1 / _OFF < slope < _OFF:
        return
    unit = nearest_unit(abs(slope), ENERGY_UNITS)
    what = (
        "the sign of the forces is wrong"
        if slope < 0
        else "energies and forces are not in eV and eV/Å"
    )
    guess = f" (the energy as in {unit}, or the forces)" if unit and slope > 0 else ""
    yield Finding(
        "forces-against-energy",
        "error",
        f"over {len(steps)} steps of a trajectory the energy changes {times(slope)} as much as the forces "
        f"say (correlation {correlation:.2f}): {what}{guess}.",
        "Declare the units, or the sign, used in the file.",
        source=case.source,
    )


RULES = (duplicates, energies_against_forces)


def _step(facts: Facts, i: int) -> NDArray[np.float64] | None:
    """Return how the atoms move to the next frame, (n, 3) in Å, if that is a small step in the same cell."""
    keys, both = facts.keys, [i, i + 1]
    if keys.species[i] != keys.species[i + 1] or keys.structure[i] == keys.structure[i + 1]:
        return None
    if not np.isfinite([facts.energy[both], facts.force_rms[both]]).all():
        return None
    before, after = facts.dataset.frame(i), facts.dataset.frame(i + 1)
    if not np.allclose(before.cell.array, after.cell.array):
        return None
    way = shortest_way(before, after)
    return way if root_mean_square(way) <= _STEP else None


def _close_pairs(facts: Facts) -> list[tuple[int, int, NDArray[np.float64]]]:
    """Return pairs of frames that agree to 0.01 Å, each with its nearest, and how the atoms differ."""
    pairs: list[tuple[int, int, NDArray[np.float64]]] = []
    usable = np.flatnonzero(~facts.is_broken)
    for group in groups(facts.keys.species[usable]):
        rows = usable[group]
        if len(rows) < 2:
            continue
        # equal structures have equal sketches, and similar ones similar sketches
        points = facts.keys.sketch[rows]
        n = len(rows)
        nearest = KDTree(points).query(
            points, k=range(1, min(_NEIGHBOURS + 1, n) + 1), distance_upper_bound=_REACH
        )[1]
        # those beyond the distance are called n
        found = {(min(a, b), max(a, b)) for a in range(n) for b in nearest[a] if b not in (a, n)}
        for a, b in sorted(found):
            i, j = int(rows[a]), int(rows[b])
            way = _near(facts, i, j)
            if way is not None:
                pairs.append((i, j, way))
    return pairs


def _near(facts: Facts, i: int, j: int) -> NDArray[np.float64] | None:
    """Return how the atoms of two frames differ, (n, 3) in Å, if these agree to 0.01 Å in the same cell."""
    one, other = facts.dataset.frame(i), facts.dataset.frame(j)
    if not np.allclose(one.cell.array, other.cell.array, rtol=0, atol=_SAME):
        return None
    way = shortest_way(one, other)
    return way if root_mean_square(way) <= _NEAR else None


def _is_small_step(facts: Facts, i: int) -> bool:
    """Return whether the next frame is almost the same."""
    species, is_broken = facts.keys.species, facts.is_broken
    is_usable = species[i] == species[i + 1] and not is_broken[[i, i + 1]].any()
    return bool(is_usable and _near(facts, i, i + 1) is not None)


def _change(facts: Facts, i: int, j: int, way: NDArray[np.float64]) -> float:
    """Return the energy difference of two frames that the forces between them do not explain, in eV."""
    difference = facts.energy[j] - facts.energy[i]
    if not np.isfinite(difference):
        return 0.0
    if np.isfinite(facts.force_rms[[i, j]]).all():
        difference -= _work(facts, i, j, way)
    return float(difference)


def _work(facts: Facts, i: int, j: int, way: NDArray[np.float64]) -> float:
    """Return the energy change expected from the mean force over a step, in eV."""
    forces = [np.asarray(facts.dataset.labels(k, {FORCES: "error"})[FORCES.name]) for k in (i, j)]
    return float(-((forces[0] + forces[1]) / 2 * way).sum())
