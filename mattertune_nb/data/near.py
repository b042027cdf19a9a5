"""Structures that are equal but for rounding, wrapping into the cell, or the order of their atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.data.content import FrameKeys

_OF_BOX = np.random.RandomState(0).randint(0, 2**63, 8, dtype=np.uint64)
_SOUGHT_BY = (0, 1, 3, 5)
"""Of a point's numbers: the atoms, and the real part of each sum."""

_APART = 4
"""Distance between the sketches of different atoms, in units of the distance of equal structures."""


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
    # a form that splits no data shall not wait for them
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

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
