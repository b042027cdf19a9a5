"""Facts about each frame of a data set, gathered in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import covalent_radii

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES
from mattertune_nb.data.content import bytes_key, frame_keys
from mattertune_nb.data.labels.names import read_name
from mattertune_nb.data.labels.reading import AbsentLabelError
from mattertune_nb.data.labels.values import numbers_of
from mattertune_nb.data.soundness import cell_heights, geometry_problem
from mattertune_nb.model.references import N_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.content import FrameKeys
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.labels.reading import Labels

OVERLAP = 0.5
"""Relative to the sum of two covalent radii; the shortest bonds of molecules under pressure have 0.7."""

_AT_ORIGIN = 1.5  # Å, position of the first atom along an axis
_REACH = 3.0  # Å; atoms farther apart never overlap
_BOND = 1.25
"""Atoms closer than this many times the sum of their covalent radii are bonded."""


@dataclass(frozen=True)
class Facts:
    """Facts about the frames of a data set; NaN if a frame lacks the label.

    Attributes
    ----------
    dataset
        The frames.
    counts
        Number of atoms of each element, (n, 119).
    energy
        In eV, (n,).
    net_force
        Length of the sum of the forces divided by the number of atoms, (n,) in eV/Å.
    force_rms, force_max
        Root mean square of the components and largest norm, (n,) in eV/Å.
    force_key
        Equal for frames with the same forces to the last digit, (n,); 0 without forces.
    unmoved
        Along which axes all forces are exactly zero although some atoms' environments are not symmetric,
        (n, 3).
    stress
        (n, 6) in eV/Å³.
    volume
        (n,) in Å³; NaN unless periodic in all three directions.
    periodic
        Which directions are periodic, (n, 3).
    filling
        Volume of the atoms, as spheres of their covalent radii, divided by that of the cell, (n,); also if
        the cell is not periodic.
    gaps
        Widest empty layer of the cell along each of its axes, (n, 3) in Å.
    cornered
        Along which axes of the cell the atoms start at its origin, as before a cell was stretched, (n, 3).
    closest
        Smallest distance between two atoms divided by the sum of their covalent radii, (n,).
    closest_pair
        Which atoms these are, (n, 2).
    neighbours
        Atoms within 3 Å of an atom, in the mean, (n,).
    push
        Force that drives these atoms apart, (n,) in eV/Å; 0 if there are no forces.
    crossing
        Number of bonds through the faces of the cell if it were periodic where it is not, (n,).
    cell_under
        The name of a value that fits the atoms as a periodic cell, by position of frames without a cell.
    broken
        Why a frame cannot be processed, by position.
    unread
        Why the labels of a frame cannot be read, by position.
    """

    dataset: AtomsDataset
    counts: NDArray[np.int64]
    energy: NDArray[np.float64]
    net_force: NDArray[np.float64]
    force_rms: NDArray[np.float64]
    force_max: NDArray[np.float64]
    force_key: NDArray[np.uint64]
    unmoved: NDArray[np.bool_]
    stress: NDArray[np.float64]
    volume: NDArray[np.float64]
    periodic: NDArray[np.bool_]
    filling: NDArray[np.float64]
    gaps: NDArray[np.float64]
    cornered: NDArray[np.bool_]
    closest: NDArray[np.float64]
    closest_pair: NDArray[np.int64]
    neighbours: NDArray[np.float64]
    push: NDArray[np.float64]
    crossing: NDArray[np.int64]
    cell_under: dict[int, str]
    broken: dict[int, str]
    unread: dict[int, str]

    def __len__(self) -> int:
        return len(self.dataset)

    @cached_property
    def keys(self) -> FrameKeys:
        """Keys that are equal for equal frames."""
        return frame_keys(self.dataset)

    @cached_property
    def n_atoms(self) -> NDArray[np.int64]:
        """Number of atoms in each frame, (n,)."""
        return np.asarray(self.counts.sum(axis=1))

    @cached_property
    def is_broken(self) -> NDArray[np.bool_]:
        """Which frames cannot be processed, (n,)."""
        return np.isin(np.arange(len(self)), list(self.broken))

    def numbers_of(self, rows: NDArray[np.intp] | list[int]) -> tuple[int, ...]:
        """Return the numbers of some frames in the file."""
        return tuple(self.dataset.indices[rows].tolist())


def gather(dataset: AtomsDataset, progress: Callable[[int], None] = lambda _: None) -> Facts:
    """Read every frame and gather the facts.

    Parameters
    ----------
    dataset
        The frames.
    progress
        Called with the number of frames done.
    """
    facts = _nothing_known(dataset)
    for i in range(len(dataset)):
        atoms = dataset.frame(i)
        facts.counts[i] = np.bincount(atoms.numbers, minlength=N_ELEMENTS)
        problem = geometry_problem(atoms)
        if problem:
            facts.broken[i] = problem
        else:
            contacts = Contacts(atoms)
            _add_geometry(facts, i, atoms, contacts)
            _add_labels(facts, i, contacts)
        progress(i + 1)
    return facts


def _nothing_known(dataset: AtomsDataset) -> Facts:
    n = len(dataset)
    return Facts(
        dataset=dataset,
        counts=np.zeros((n, N_ELEMENTS), np.int64),
        energy=np.full(n, np.nan),
        net_force=np.full(n, np.nan),
        force_rms=np.full(n, np.nan),
        force_max=np.full(n, np.nan),
        force_key=np.zeros(n, np.uint64),
        unmoved=np.zeros((n, 3), bool),
        stress=np.full((n, 6), np.nan),
        volume=np.full(n, np.nan),
        periodic=np.zeros((n, 3), bool),
        filling=np.full(n, np.nan),
        gaps=np.full((n, 3), np.nan),
        cornered=np.zeros((n, 3), bool),
        closest=np.full(n, np.inf),
        closest_pair=np.zeros((n, 2), np.int64),
        neighbours=np.zeros(n),
        push=np.zeros(n),
        crossing=np.zeros(n, np.int64),
        cell_under={},
        broken={},
        unread={},
    )


def _add_geometry(facts: Facts, i: int, atoms: Atoms, contacts: Contacts) -> None:
    facts.periodic[i] = atoms.pbc
    facts.closest[i], facts.closest_pair[i] = contacts.closest()
    facts.neighbours[i] = contacts.per_atom()
    facts.crossing[i] = contacts.n_crossing
    if atoms.cell.rank == 3:
        inside = (4 / 3 * np.pi * covalent_radii[atoms.numbers] ** 3).sum()
        facts.filling[i] = inside / atoms.cell.volume
        facts.gaps[i], facts.cornered[i] = empty_layers(atoms)
        facts.volume[i] = atoms.cell.volume if atoms.pbc.all() else np.nan
    elif atoms.cell.rank == 0 and (name := _cell_under(atoms)) is not None:
        facts.cell_under[i] = name


def _cell_under(atoms: Atoms) -> str | None:
    """Return the name of nine numbers that, as a periodic cell, bond the atoms to their images."""
    for key, value in atoms.info.items():
        matrix = numbers_of(value)
        if matrix is None or matrix.size != 9 or read_name(key).label is not None:
            continue
        read = atoms.copy()
        read.set_cell(matrix.reshape(3, 3))
        if read.cell.rank < 3:
            continue
        crossing = Contacts(read).n_crossing
        read.pbc = True
        if crossing >= enough_bonds(len(read)) and Contacts(read).closest()[0] > OVERLAP:
            return str(key)
    return None


def enough_bonds(n_atoms: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Return from how many bonds on atoms through the faces of a cell are those of a crystal.

    A molecule that just touches the face of its box is none.
    """
    return np.maximum(1, np.asarray(n_atoms) ** (2 / 3) / 4)


def _add_labels(facts: Facts, i: int, contacts: Contacts) -> None:
    try:
        labels = facts.dataset.labels(i)
        unusable = _unusable(facts.dataset, i, labels)
    except DataError as exc:
        labels, unusable = {}, str(exc)
    if unusable is not None:
        facts.unread[i] = unusable
    facts.energy[i] = labels.get(ENERGY.name, np.nan)
    facts.stress[i] = labels.get(STRESSES.name, np.nan)
    if FORCES.name in labels:
        forces = np.asarray(labels[FORCES.name])
        facts.net_force[i] = np.linalg.norm(forces.sum(axis=0)) / len(forces)
        facts.force_rms[i] = np.sqrt(np.square(forces).mean())
        facts.force_max[i] = np.linalg.norm(forces, axis=1).max()
        facts.force_key[i] = bytes_key(forces.tobytes())
        facts.unmoved[i] = ~forces.any(axis=0)
        if facts.unmoved[i].any():
            facts.unmoved[i] &= contacts.asymmetry()
        facts.push[i] = contacts.push(forces)


def _unusable(dataset: AtomsDataset, i: int, labels: Labels) -> str | None:
    """Return why a frame's energy or forces are unusable, e.g. NaN; None if they are usable."""
    for label in (ENERGY, FORCES):
        if label.name in labels:
            continue
        try:
            dataset.labels(i, {label: "error"})
        except AbsentLabelError:
            continue
        except DataError as exc:
            return str(exc)
    return None


def groups(keys: NDArray[np.integer[Any]]) -> list[NDArray[np.intp]]:
    """Return the rows of each group with equal keys."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    return np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)


class Contacts:
    """Pairs of atoms closer than 3 Å, treating any cell as periodic."""

    def __init__(self, atoms: Atoms) -> None:
        from vesin import NeighborList

        has_cell = atoms.cell.rank == 3
        box = np.asarray(atoms.cell.array) if has_cell else np.eye(3)
        found = NeighborList(cutoff=_REACH, full_list=True)
        i, j, shift, vectors, d = found.compute(atoms.positions, box, has_cell, "ijSDd")
        # where it is declared non-periodic, a neighbour beyond the face does not count
        own = ~(shift.astype(bool) & ~atoms.pbc).any(axis=1)
        radii = covalent_radii[atoms.numbers]
        ratio = d / (radii[i.astype(int)] + radii[j.astype(int)])
        self.n_crossing = int(((ratio < _BOND) & ~own).sum()) // 2
        self._i, self._j = i[own].astype(int), j[own].astype(int)
        self._ratio, self._vectors, self._d = ratio[own], vectors[own], d[own]
        self._n = len(atoms)

    def closest(self) -> tuple[float, tuple[int, int]]:
        """Return the smallest distance relative to the sum of covalent radii, and the two atoms."""
        if not len(self._ratio):
            return np.inf, (0, 0)
        k = int(self._ratio.argmin())
        return float(self._ratio[k]), (int(self._i[k]), int(self._j[k]))

    def per_atom(self) -> float:
        """Return the mean number of neighbours of an atom."""
        return len(self._d) / self._n

    def bonds(self) -> NDArray[np.int64]:
        """Return the number of bonds of each atom, (n_atoms,)."""
        return np.bincount(self._i[self._ratio < _BOND], minlength=self._n)

    def push(self, forces: NDArray[np.float64]) -> float:
        """Return the force that drives the two closest atoms apart, in eV/Å."""
        if not len(self._ratio):
            return 0.0
        k = int(self._ratio.argmin())
        along = (forces[self._j[k]] - forces[self._i[k]]) @ self._vectors[k]
        return float(along) / 2 / float(self._d[k]) if self._d[k] else 0.0

    def crowding(self) -> float:
        """Return a sum over all pairs of neighbours that is equal for structures turned into each other."""
        return float(((self._d - _REACH) ** 2 / np.maximum(self._ratio, 0.1) ** 4).sum())

    def asymmetry(self) -> NDArray[np.bool_]:
        """Return along which axes some atom's neighbours are on one side, so that a force may act, (3,)."""
        pull = np.zeros((self._n, 3))
        np.add.at(pull, self._i, self._vectors / np.maximum(self._d, 0.1)[:, None] ** 7)
        size = np.zeros(self._n)
        np.add.at(size, self._i, 1 / np.maximum(self._d, 0.1) ** 6)
        return np.asarray((np.abs(pull) > 1e-3 * np.maximum(size, 1e-12)[:, None]).any(axis=0))


def empty_layers(atoms: Atoms) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the widest empty layer along each axis, (3,) in Å, and which of them end at the origin, (3,)."""
    scaled = np.sort(atoms.cell.scaled_positions(atoms.positions) % 1.0, axis=0)
    steps = np.diff(np.vstack([scaled, scaled[:1] + 1.0]), axis=0)
    heights = cell_heights(atoms)
    after = scaled[(steps.argmax(axis=0) + 1) % len(scaled), range(3)]
    is_cornered = np.abs((after - np.round(after)) * heights) < _AT_ORIGIN
    return steps.max(axis=0) * heights, np.asarray(is_cornered)
