"""Distances of atoms from those of a training set, by their environments.

An atom is described by its neighbours of each element within 5 Å, counted at nine distances: each neighbour
contributes a Gaussian of its distance (width 0.5 Å, centres 1, 1.5, … 5 Å) that falls to zero at the cutoff,
as in the radial symmetry functions of Behler and Parrinello (J. Chem. Phys. 134, 074106, 2011). The distance
between two atoms of the same element is the Euclidean distance between these counts, in smoothed neighbours:
0 is an environment present in training, 1 is about one neighbour more, fewer or in a different place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree
from vesin import NeighborList

from mattertune_nb.widgets.page.work import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

CUTOFF = 5.0
WIDTH = 0.5
CENTRES = np.linspace(1.0, CUTOFF, 9)


class TrainingDistances:
    """Distances of the atoms of a data set to those of a training set.

    Parameters
    ----------
    dataset
        The data set to be judged.
    training
        Opens the training set.

    Attributes
    ----------
    of_frame
        For each frame, the distance of each atom to the nearest one of its element in training, (n,);
        infinite if training has none. Filled by :meth:`steps`.
    """

    def __init__(self, dataset: AtomsDataset, training: Callable[[], AtomsDataset]) -> None:
        self.dataset, self.training = dataset, training
        self.of_frame: dict[int, NDArray[np.float64]] = {}

    def steps(self) -> Iterator[Step]:
        """Describe the training set, then measure frame by frame."""
        training = self.training()
        n_training = len(training)
        elements = sorted({z for data in (training, self.dataset) for z in _elements(data)})
        known: dict[int, list[NDArray[np.float64]]] = {z: [] for z in elements}
        for i in range(n_training):
            atoms = training[i]
            described = neighbour_counts(atoms, elements)
            for z in set(atoms.numbers.tolist()):
                known[z].append(described[atoms.numbers == z])
            yield Step("reading the training set", i + 1, n_training, "frames")
        trees = {z: KDTree(np.concatenate(parts)) for z, parts in known.items() if parts}
        n = len(self.dataset)
        for i in range(n):
            atoms = self.dataset[i]
            described = neighbour_counts(atoms, elements)
            far = np.full(len(atoms), np.inf)
            for z in set(atoms.numbers.tolist()) & trees.keys():
                of_element = atoms.numbers == z
                far[of_element] = trees[z].query(described[of_element])[0]
            self.of_frame[i] = far
            yield Step("measuring distances", i + 1, n, "frames")


def neighbour_counts(atoms: Atoms, elements: list[int]) -> NDArray[np.float64]:
    """Return the smoothed neighbour counts of each atom, (n, elements × centres)."""
    n, m = len(atoms), len(CENTRES)
    box = np.asarray(atoms.cell.complete().array) if atoms.pbc.any() else np.eye(3)
    neighbours = NeighborList(cutoff=CUTOFF, full_list=True)
    i, j, d = neighbours.compute(
        points=np.asarray(atoms.positions, dtype=np.float64),
        box=box,
        periodic=np.asarray(atoms.pbc, dtype=bool),
        quantities="ijd",
    )
    near = 0.5 * (1 + np.cos(np.pi * d / CUTOFF))
    added = near[:, None] * np.exp(-0.5 * ((d[:, None] - CENTRES) / WIDTH) ** 2)
    place = np.searchsorted(elements, atoms.numbers[j])
    counts = np.zeros((n, len(elements), m))
    np.add.at(counts, (i, place), added)
    return counts.reshape(n, -1)


def _elements(dataset: AtomsDataset) -> set[int]:
    return {z for i in range(len(dataset)) for z in set(dataset.frame(i).numbers.tolist())}
