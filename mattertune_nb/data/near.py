"""Structures that are equal but for rounding, wrapping into the cell, or the order of their atoms.

A structure is sketched by a few numbers that none of these changes: Fourier sums over its atoms along three
directions, which are smooth in the positions, so that no rounding has an edge between equal structures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.data.content import FrameKeys

N_NUMBERS = 7
"""Numbers in a sketch: three complex sums, and one of the cell."""

_NEAR = 1e-4
"""Root mean square deviation in Å below which structures count as equal; files have more digits."""

_DIRECTIONS = np.array([[1, 2, 3], [3, 1, -2], [2, -3, 1]], dtype=np.float64)
_WAVES = np.array([[1.3, 0.4, -0.7], [0.5, -1.1, 0.9], [-0.8, 0.6, 1.2]])  # 1/Å, without a cell
_OF_CELL = np.array([0.83, 0.41, -0.57, 0.29, 0.97, 0.67, -0.37, 0.73, 0.89])
_OF_BOX = np.random.RandomState(0).randint(0, 2**63, 8, dtype=np.uint64)
_GOLDEN = (5**0.5 - 1) / 2
_SOUGHT_BY = (0, 1, 3, 5)
_APART = 4
"""Distance between the sketches of different atoms, in units of the distance of equal structures."""


def sketch(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the numbers of a structure, (7,), by whose distance equal structures are found.

    They are in units of the largest deviation of equal structures.
    """
    volume = np.linalg.det(cell) if pbc.any() else 0.0
    if volume:
        waves = 2 * np.pi * np.linalg.inv(cell) @ _DIRECTIONS.T
        of_cell = float(cell.ravel() @ _OF_CELL)
    else:
        waves, of_cell = _WAVES.T, 0.0
    weights = 1 + numbers * _GOLDEN % 1.0
    # a wave's sum divided by its wave number changes by as much as the atoms move
    sums = weights @ np.exp(1j * (positions @ waves)) / np.linalg.norm(waves, axis=0)
    found = np.concatenate([sums.view(np.float64) / np.sqrt(len(numbers)), [of_cell]])
    return np.asarray(found / _NEAR)


def near_structures(*sets: FrameKeys) -> list[NDArray[np.uint64]]:
    """Return the structure keys of each set, where equal structures have the key of the first of them."""
    structure = np.concatenate([keys.structure for keys in sets])
    _, first, inverse = np.unique(structure, return_index=True, return_inverse=True)
    atoms = np.concatenate([keys.atoms for keys in sets])[first]
    points = np.concatenate([keys.sketch for keys in sets])[first]
    group = _groups(atoms, np.floor(points))
    earliest = np.full(group.max(initial=-1) + 1, len(structure), dtype=np.int64)
    np.minimum.at(earliest, group, first)
    joined = structure[earliest[group]][inverse.ravel()]
    return np.split(joined, np.cumsum([len(keys) for keys in sets])[:-1])


def _groups(atoms: NDArray[np.uint64], points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the group of each point, (n,): those with the same atoms in the same or an adjacent box."""
    # distances to other atoms are exact, and far
    kinds = np.unique(atoms, return_inverse=True)[1].astype(np.float64)
    points = np.column_stack([_APART * kinds.ravel(), points])
    # a number for each box, as sorting rows takes far longer
    hashed = points.astype(np.int64).view(np.uint64) @ _OF_BOX
    _, first, of_point = np.unique(hashed, return_index=True, return_inverse=True)
    boxes = points[first]
    if not len(boxes):
        return np.zeros(0, np.intp)
    # a tree in a few dimensions is many times as fast, and leaves few pairs to look at
    pairs = KDTree(boxes[:, _SOUGHT_BY]).query_pairs(1.0, p=np.inf, output_type="ndarray")
    pairs = pairs[(np.abs(boxes[pairs[:, 0]] - boxes[pairs[:, 1]]) <= 1.0).all(axis=1)]
    ones = np.ones(len(pairs), dtype=bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(boxes), len(boxes)))
    of_box = connected_components(graph, directed=False)[1]
    return np.asarray(of_box[of_point.ravel()])
