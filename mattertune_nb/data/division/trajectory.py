"""Whether frames follow one another in time, judged by how far atoms move between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.data.evenly import evenly_spread

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset


_LOOKED_AT = 48
_LAG = 8
_FEWEST = 6
_NEAR = 0.65
"""Relative to the displacement over eight steps; diffusion gives 0.35 after one step, random frames 1."""


def is_trajectory(dataset: AtomsDataset, species: NDArray[np.uint64]) -> bool:
    """Return whether frames clearly come from trajectories: consecutive frames resemble each other.

    At some dozens of places spread over the set, the atoms' displacement to the next frame is compared with
    that to a frame up to eight steps away. Frames of one trajectory that are so far apart that they resemble
    each other no more than any two do not count as a trajectory here.

    Parameters
    ----------
    dataset
        The structures, in the order of their file.
    species
        (n,) equal for frames with the same species in the same order.
    """
    n = len(dataset)
    ratios: list[float] = []
    places = evenly_spread(n, _LOOKED_AT).tolist()
    for i in places:
        last = i
        while last + 1 < n and last - i < _LAG and species[last + 1] == species[i]:
            last += 1
        if last - i < 3:
            continue
        near = displacement(dataset.frame(i), dataset.frame(i + 1))
        far = displacement(dataset.frame(i), dataset.frame(last))
        if far > 0:
            ratios.append(near / far)
    is_usual = len(ratios) >= max(_FEWEST, len(places) / 2)
    return is_usual and float(np.median(ratios)) < _NEAR


def displacement(before: Atoms, after: Atoms) -> float:
    """Return the root mean square displacement of the atoms between two frames in Å, with minimum images."""
    return root_mean_square(shortest_way(before, after))


def root_mean_square(way: NDArray[np.float64]) -> float:
    """Return the root mean square of the lengths of vectors, (n, 3)."""
    return float(np.sqrt(np.square(way).sum(axis=1).mean()))


def shortest_way(before: Atoms, after: Atoms) -> NDArray[np.float64]:
    """Return the displacement of each atom between two frames, with minimum images, (n, 3) in Å.

    A shift of all atoms together does not count where nothing is periodic.
    """
    way: NDArray[np.float64] = after.positions - before.positions
    if not before.pbc.any():
        return np.asarray(way - way.mean(axis=0))
    if before.cell.rank == 3:
        scaled = np.linalg.solve(before.cell.array.T, way.T).T
        way = way - np.round(scaled) * before.pbc @ before.cell.array
    return way
