"""Rules about structures: overlapping atoms, unsuitable cells, periodicity, elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.doctor.facts import OVERLAP, enough_bonds, groups
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mattertune_nb.doctor.case import Case
    from mattertune_nb.doctor.facts import Facts

_OTHER_VOLUME = 2.2
_BOX = 20.0
"""Multiple of the usual volume per atom; a cell in Bohr has 7."""

_EMPTY_LAYER = 4.0  # Å thicker than in the others
_VACUUM, _BONDED = 6.0, 3.5
"""Thickness in Å above which an empty layer is intended, and below which there is none."""

_AS_DENSE = 1.5
_FEW_FRAMES = 3
_REPULSION = 10.0
"""Force in eV/Å that drives atoms apart which overlap; forces of other structures rarely reach it."""

_LARGE = 20
"""Multiple of the median number of atoms."""


def broken_frames(case: Case) -> Iterator[Finding]:
    """Find frames that cannot be computed at all."""
    rows = sorted(case.facts.broken)
    if rows:
        yield Finding(
            "unusable-structure",
            "error",
            f"{len(rows)} of {len(case.facts)} frames cannot be computed, e.g. {case.facts.broken[rows[0]]}",
            "",
            case.facts.numbers_of(rows),
            case.source,
        )


def overlapping_atoms(case: Case) -> Iterator[Finding]:
    """Find overlapping atoms; those whose forces drive them apart were computed like that."""
    facts = case.facts
    rows = np.flatnonzero(facts.closest < OVERLAP)
    push = facts.push[rows]
    is_computed = push > _REPULSION
    if not is_computed.all():
        yield Finding(
            "overlapping-atoms",
            "error",
            _overlap_in_words(facts, rows[~is_computed]),
            "Check the units of the positions, the cell and its periodicity, or remove these frames.",
            facts.numbers_of(rows[~is_computed]),
            case.source,
        )
    if is_computed.any():
        yield Finding(
            "overlapping-atoms",
            "warning",
            f"{_overlap_in_words(facts, rows[is_computed])} Their forces, up to "
            f"{push[is_computed].max():.0f} eV/Å, drive them apart: they were computed like that.",
            "Keep these frames to learn the repulsion, or remove them: they weigh more than others.",
            facts.numbers_of(rows[is_computed]),
            case.source,
        )


def _overlap_in_words(facts: Facts, rows: NDArray[np.intp]) -> str:
    worst = int(rows[facts.closest[rows].argmin()])
    atoms, (i, j) = facts.dataset.frame(worst), facts.closest_pair[worst].tolist()
    apart = "an atom and its own image"
    if i != j:
        distance = atoms.get_distance(i, j, mic=bool(atoms.pbc.any()))
        apart = f"atoms {i} and {j} ({atoms.symbols[i]}–{atoms.symbols[j]} {distance:.2f} Å)"
    return (
        f"in {len(rows)} of {len(facts)} frames atoms are closer than {OVERLAP:g} times the sum of their "
        f"covalent radii, e.g. {apart}."
    )


def wrong_cells(case: Case) -> Iterator[Finding]:
    """Find cells with far more volume per atom than those of the other frames."""
    facts = case.facts
    has_cell = np.isfinite(facts.filling) & facts.periodic.any(axis=1) & ~_in_vacuum(facts)
    if has_cell.sum() < _FEW_FRAMES:
        return
    rows = np.flatnonzero(has_cell)
    room = 1 / facts.filling[rows]
    usual = np.array([np.median(room[alike]) for alike in _alike(facts.keys.composition[rows])])
    gap = facts.gaps[rows].max(axis=1)
    is_odd = (room > _OTHER_VOLUME * usual) | (room < usual / _OTHER_VOLUME)
    is_odd |= (gap > np.median(gap) + _EMPTY_LAYER) & (room > 1.25 * usual)
    # a box this much too large encloses a molecule
    is_odd &= (room < _BOX * usual) | ~(facts.gaps[rows] >= _VACUUM).all(axis=1)
    # if many differ, they are a different kind of structure rather than mistakes
    if is_odd.any() and is_odd.mean() < 0.5:
        k = int(np.flatnonzero(is_odd)[np.abs(np.log(room / usual))[is_odd].argmax()])
        yield Finding(
            "wrong-cell",
            "error",
            f"{int(is_odd.sum())} of {len(facts)} frames have a cell that does not fit its atoms: e.g. frame "
            f"{facts.numbers_of([rows[k]])[0]} has {room[k] / usual[k]:.2g} times the volume per atom of "
            f"others of its composition, and an empty layer of {gap[k]:.1f} Å.",
            "Check the lattice vectors of these frames, or remove them.",
            facts.numbers_of(rows[is_odd]),
            case.source,
        )


def torn_layers(case: Case) -> Iterator[Finding]:
    """Find slabs and wires with an empty layer along an axis that is bonded in others of the same atoms."""
    facts = case.facts
    in_vacuum = _in_vacuum(facts)
    torn: list[int] = []
    for group in groups(facts.keys.atoms):
        sound = group[in_vacuum[group]]
        others = np.setdiff1d(group, sound)
        if len(sound) < max(_FEW_FRAMES, len(others)):
            continue
        is_bonded = (facts.gaps[sound] < _BONDED).mean(axis=0) > 0.5
        torn += others[(facts.gaps[others][:, is_bonded] >= _BONDED).any(axis=1)].tolist()
    if torn:
        rows = np.sort(torn)
        yield Finding(
            "wrong-cell",
            "error",
            f"{len(rows)} of {len(facts)} frames have a cell that does not fit its atoms: e.g. frame "
            f"{facts.numbers_of(rows[:1])[0]} has an empty layer along an axis along which others of the "
            "same atoms are bonded to their images.",
            "Check the lattice vectors of these frames, or remove them.",
            facts.numbers_of(rows),
            case.source,
        )


def _in_vacuum(facts: Facts) -> NDArray[np.bool_]:
    """Return which frames are slabs, wires or clusters in vacuum, whose volume has no meaning, (n,).

    A crystal in too long a cell has empty layers along all axes, and starts at the origin as before.
    """
    is_open = (facts.gaps >= _VACUUM) | ~facts.periodic
    is_plain = (is_open | (facts.gaps < _BONDED)).all(axis=1) & is_open.any(axis=1)
    is_enlarged = ((facts.gaps >= _VACUUM) & facts.cornered).all(axis=1)
    return np.asarray(is_plain & ~is_enlarged)


def lost_periodicity(case: Case) -> Iterator[Finding]:
    """Find crystals declared non-periodic: atoms would be bonded through the faces of the cell."""
    facts = case.facts
    rows = np.flatnonzero((facts.crossing > 0) & ~facts.periodic.all(axis=1))
    rows = rows[facts.crossing[rows] >= enough_bonds(facts.n_atoms[rows])]
    if len(rows):
        yield Finding(
            "lost-periodicity",
            "error",
            f"{len(rows)} of {len(facts)} frames have a cell that is not periodic in all directions, "
            f"although atoms are bonded through its faces (frame {facts.numbers_of(rows[:1])[0]}: "
            f"{facts.crossing[rows[0]]} bonds).",
            'Set pbc="T T T" in the file, or remove the cell if these are clusters.',
            facts.numbers_of(rows),
            case.source,
        )
    if facts.cell_under:
        stray = sorted(facts.cell_under)
        name = facts.cell_under[stray[0]]
        yield Finding(
            "lost-periodicity",
            "error",
            f"{len(stray)} of {len(facts)} frames have no cell, although the nine numbers of '{name}' fit "
            f"their atoms as one: atoms would be bonded through its faces.",
            f"Rename '{name}' to Lattice in the file, or remove it if these are clusters.",
            facts.numbers_of(stray),
            case.source,
        )


def mixed_periodicity(case: Case) -> Iterator[Finding]:
    """Find frames with the same atoms and density, some of which are periodic and some not."""
    facts = case.facts
    rows = np.flatnonzero(np.isfinite(facts.filling))
    _, of_formula = np.unique(facts.counts[rows], axis=0, return_inverse=True)
    odd: list[int] = []
    for group in groups(of_formula.ravel()):
        alike = rows[group]
        periodic = np.asarray(facts.periodic[alike].any(axis=1))
        filling = facts.filling[alike]
        if not periodic.any():
            continue
        # a cluster in vacuum is not a crystal that lost its periodicity
        is_dense = filling * _AS_DENSE >= np.median(filling[periodic])
        alike, periodic = alike[periodic | is_dense], periodic[periodic | is_dense]
        if not periodic.all():
            odd += alike[periodic if periodic.sum() * 2 < len(alike) else ~periodic].tolist()
    if odd:
        yield Finding(
            "mixed-periodicity",
            "warning",
            f"{len(odd)} of {len(facts)} frames differ in pbc from others of the same atoms and density.",
            "Check pbc; a molecule in a box and a crystal have different energies.",
            facts.numbers_of(sorted(odd)),
            case.source,
        )


def large_frames(case: Case) -> Iterator[Finding]:
    """Find frames so large that a batch with one of them needs many times the memory of others."""
    facts = case.facts
    limit = _LARGE * np.median(facts.n_atoms)
    rows = np.flatnonzero(facts.n_atoms > limit)
    if len(rows):
        most = int(facts.n_atoms.max())
        yield Finding(
            "large-frames",
            "warning",
            f"{len(rows)} frames have up to {most} atoms, {most / np.median(facts.n_atoms):.0f} times the "
            "median: a batch with one of them takes that much more memory.",
            f"Batch by atoms: max_atoms: {most}.",
            facts.numbers_of(rows),
            case.source,
        )


def beyond_budget(case: Case) -> Iterator[Finding]:
    """Find frames that alone have more atoms than a batch may have."""
    limit = case.facts.dataset.loader.max_atoms
    if limit is None:
        return
    rows = np.flatnonzero(case.facts.n_atoms > limit)
    if len(rows):
        most = int(case.facts.n_atoms[rows].max())
        yield Finding(
            "beyond-memory-budget",
            "warning",
            f"{len(rows)} of {len(case.facts)} frames have up to {most} atoms, more than the {limit} that a "
            "batch may have: each is a batch of its own, and takes more memory than planned.",
            f"Remove them, or raise max_atoms to {most}: `mattertune-nb estimate` tells the memory needed.",
            case.facts.numbers_of(rows),
            case.source,
        )


def unknown_elements(case: Case) -> Iterator[Finding]:
    """Find elements that the backbone does not know."""
    if case.elements is None:
        return
    facts = case.facts
    known = {chemical_symbols.index(symbol) for symbol in case.elements}
    for z in np.flatnonzero(facts.counts.any(axis=0)).tolist():
        if z not in known:
            rows = np.flatnonzero(facts.counts[:, z])
            yield Finding(
                "unknown-element",
                "error",
                f"{chemical_symbols[z]} occurs in {len(rows)} frames, but the backbone does not know it.",
                "Remove these frames, or choose another backbone.",
                facts.numbers_of(rows),
                case.source,
            )


def rare_elements(case: Case) -> Iterator[Finding]:
    """Find elements that occur too rarely to be learnt."""
    facts = case.facts
    if len(facts) < 10 * _FEW_FRAMES:
        return
    n_frames = (facts.counts > 0).sum(axis=0)
    rare = np.flatnonzero((n_frames > 0) & (n_frames < _FEW_FRAMES))
    # if most elements occur only a few times, as in sets with one frame per compound, none is an exception
    others = n_frames[n_frames >= _FEW_FRAMES]
    usual = float(np.median(others)) if len(others) else 0.0
    if len(rare) and usual >= 10 * _FEW_FRAMES:
        rows = np.flatnonzero(facts.counts[:, rare].any(axis=1))
        told = ", ".join(f"{chemical_symbols[z]} in {n_frames[z]}" for z in rare.tolist())
        yield Finding(
            "rare-element",
            "warning",
            f"of {len(facts)} frames, {told} only; other elements are in {usual:.0f}.",
            "Add frames with it, or take these out; its reference energy rests on them alone.",
            facts.numbers_of(rows),
            case.source,
        )


RULES = (
    broken_frames,
    overlapping_atoms,
    wrong_cells,
    torn_layers,
    lost_periodicity,
    mixed_periodicity,
    large_frames,
    beyond_budget,
    unknown_elements,
    rare_elements,
)


def _alike(keys: NDArray[np.uint64]) -> list[NDArray[np.intp]]:
    """Return the rows with which each row is compared: its group, or all rows if the group is small."""
    everything = np.arange(len(keys))
    found: list[NDArray[np.intp]] = [everything] * len(keys)
    for group in groups(keys):
        if len(group) >= _FEW_FRAMES:
            for row in group.tolist():
                found[row] = group
    return found
