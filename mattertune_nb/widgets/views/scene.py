"""What is drawn of a structure: spheres, bonds, cell, axes and arrows, the same in every viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from vesin import NeighborList

from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.views.shown import atom_name

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.widgets.views.shown import Shown

MARK_COLOR = "#ff00cc"
AXIS_COLORS = {"a": "#d9534f", "b": "#2ca02c", "c": "#2f7ed8"}
MAX_ATOMS = 20_000
"""Maximum number of atoms drawn in a supercell."""

_BOND = 1.2  # of the sum of the covalent radii
_SIZE = 0.42  # of the covalent radius
_SHORTEST = 0.02  # Å, of arrows
_NONMETALS = (
    "H He B C N O F Ne Si P S Cl Ar Ge As Se Br Kr Sb Te I Xe Po At Rn"  # with the metalloids
)
_BONDS = np.isin(np.arange(len(covalent_radii)), [atomic_numbers[s] for s in _NONMETALS.split()])


@dataclass(frozen=True)
class Scene:
    """Everything to draw, in Å.

    Attributes
    ----------
    positions, radii, colors, names
        Properties of the atoms: (n, 3), (n,), (n, 3) from 0 to 1, and their descriptions.
    bonds
        Pairs of atoms, (bonds, 2).
    edges
        Both ends of each edge of the cells, (edges, 2, 3).
    axes
        Name, start and end of each axis of the cell.
    arrows
        Both ends of each force arrow, (arrows, 2, 3).
    marked
        The highlighted atom, if any.
    """

    positions: NDArray[np.float64]
    radii: NDArray[np.float64]
    colors: NDArray[np.float64]
    names: list[str]
    bonds: NDArray[np.int64]
    edges: NDArray[np.float64]
    axes: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]
    arrows: NDArray[np.float64]
    marked: int | None = None


def scene_of(shown: Shown) -> Scene:
    """Return the scene of a structure, with its cell repeated as requested."""
    count = int(np.prod(shown.cells))
    atoms = shown.atoms.repeat(shown.cells) if count > 1 else shown.atoms
    names = [atom_name(shown.atoms, i) for i in range(len(shown.atoms))]
    if shown.values is not None:
        told = zip(names, shown.values.tolist(), strict=True)
        names = [f"{name}: {number(value)}" for name, value in told]
    return Scene(
        positions=atoms.positions,
        radii=_SIZE * covalent_radii[atoms.numbers],
        colors=np.tile(shown.colors(), (count, 1)),
        names=names * count,
        bonds=bonds(atoms),
        edges=_edges(shown),
        axes=_axes(shown.atoms) if shown.axes else [],
        arrows=_arrows(shown, atoms.positions, count),
        marked=shown.marked,
    )


def bonds(atoms: Atoms) -> NDArray[np.int64]:
    """Return pairs of atoms close enough for a bond, (bonds, 2); none between two metals.

    Two atoms are bonded up to 1.2 times the sum of their covalent radii. The metalloids count as
    nonmetals here: silicon is bonded to silicon, lithium to oxygen, but lithium not to manganese.
    """
    if len(atoms) < 2:
        return np.zeros((0, 2), np.int64)
    reach = covalent_radii[atoms.numbers]
    found = NeighborList(cutoff=2 * _BOND * float(reach.max()), full_list=False)
    i, j, distance = found.compute(atoms.positions, np.zeros((3, 3)), False, "ijd")
    i, j = i.astype(np.int64), j.astype(np.int64)
    near = distance < _BOND * (reach[i] + reach[j])
    nonmetal = _BONDS[atoms.numbers]
    pairs = np.stack([i, j], axis=1)[near & (nonmetal[i] | nonmetal[j])]
    return np.sort(pairs, axis=1)


def largest_supercell(n_atoms: int) -> int:
    """Return how often a cell with this many atoms can be repeated and still be drawn."""
    return max(1, MAX_ATOMS // n_atoms)


def _edges(shown: Shown) -> NDArray[np.float64]:
    """Return the edges of all cells; none if there is no cell."""
    cell = shown.atoms.cell
    if cell.rank != 3:
        return np.zeros((0, 2, 3))
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    ends = [
        (first, second)
        for k, first in enumerate(corners)
        for second in corners[k + 1 :]
        if np.abs(first - second).sum() == 1
    ]
    shifts = np.array(list(np.ndindex(*shown.cells)))
    fractional = (np.array(ends)[None] + shifts[:, None, None]).reshape(-1, 2, 3)
    edges: NDArray[np.float64] = np.unique(fractional, axis=0) @ np.asarray(cell)
    return edges


def _axes(atoms: Atoms) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    origin = np.zeros(3)
    return [
        (name, origin, vector)
        for name, vector in zip("abc", np.asarray(atoms.cell), strict=True)
        if vector.any()
    ]


def _arrows(shown: Shown, positions: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    if shown.arrows is None:
        return np.zeros((0, 2, 3))
    vectors = shown.scale * np.tile(shown.arrows, (count, 1))
    lengths = np.linalg.norm(vectors, axis=1)
    visible = np.isfinite(lengths) & (lengths > _SHORTEST)
    return np.stack([positions[visible], positions[visible] + vectors[visible]], axis=1)
