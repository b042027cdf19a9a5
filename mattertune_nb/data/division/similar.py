"""Which structures are similar, judged by their atomic environments."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

CUTOFF = 6.0
"""Å; atoms farther apart are ignored."""

_WIDTH = 0.4  # Å, of the Gaussians
_CENTRES = np.arange(0.6, CUTOFF, _WIDTH)
_SHAKEN = 0.05  # Å, standard deviation in each direction
_N_SHAKEN = 3


def clusters(dataset: AtomsDataset) -> NDArray[np.int64]:
    """Return the cluster of each structure, (n,) from 0.

    A structure joins the nearest cluster whose first member differs from it by no more than it would if its
    atoms were displaced by 0.05 Å, and otherwise starts a new one. Thus appended structures change nothing
    for the others.
    """
    elements = sorted(
        {z for i in range(len(dataset)) for z in set(dataset.frame(i).numbers.tolist())}
    )
    firsts: list[NDArray[np.float64]] = []
    reach: list[float] = []
    of_frame = np.empty(len(dataset), dtype=np.int64)
    for i in range(len(dataset)):
        atoms = dataset.frame(i)
        described = surroundings(atoms, elements)
        if firsts:
            far = np.linalg.norm(np.array(firsts) - described, axis=1) / np.array(reach)
            nearest = int(far.argmin())
            if far[nearest] <= 1:
                of_frame[i] = nearest
                continue
        of_frame[i] = len(firsts)
        firsts.append(described)
        reach.append(_shaken(atoms, elements, described))
    return of_frame


def _shaken(atoms: Atoms, elements: Sequence[int], described: NDArray[np.float64]) -> float:
    """Return the distance of a structure from itself with displaced atoms, never zero."""
    moved, far = atoms.copy(), []
    rng = np.random.RandomState(
        0
    )  # its stream is frozen; that of newer generators may change with NumPy
    for _ in range(_N_SHAKEN):
        moved.positions = atoms.positions + rng.normal(scale=_SHAKEN, size=atoms.positions.shape)
        far.append(np.linalg.norm(surroundings(moved, elements) - described))
    return max(float(np.mean(far)), 1e-9)


def surroundings(atoms: Atoms, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Return a descriptor of the atomic environments, averaged over the atoms of a structure.

    For each pair of elements a histogram of distances up to 6 Å, smeared by Gaussians 0.4 Å wide, damped to
    zero at the cutoff and by the square of the distance, because each shell contains more atoms than the one
    inside it; followed by the fraction of each element.

    Parameters
    ----------
    atoms
        The structure.
    numbers
        Atomic numbers of all elements in the set, so that structures can be compared.

    Returns
    -------
    NDArray
        (pairs of elements times centres + elements,).
    """
    from vesin import NeighborList

    order = {z: k for k, z in enumerate(numbers)}
    kinds = np.array([order[z] for z in atoms.numbers.tolist()])
    pairs = {p: k for k, p in enumerate(combinations_with_replacement(range(len(numbers)), 2))}
    table = np.zeros((len(numbers), len(numbers)), np.int64)
    for (a, b), k in pairs.items():
        table[a, b] = table[b, a] = k
    shares = np.bincount(kinds, minlength=len(numbers)) / len(atoms)
    found = NeighborList(cutoff=CUTOFF, full_list=False)
    cell = np.asarray(atoms.cell) if atoms.cell.rank == 3 else np.eye(3)
    periodic = bool(atoms.pbc.any()) and atoms.cell.rank == 3
    i, j, distance = found.compute(atoms.positions, cell, periodic, "ijd")
    histograms = np.zeros((len(pairs), len(_CENTRES)))
    if len(distance):
        of_pair = table[kinds[i.astype(np.int64)], kinds[j.astype(np.int64)]]
        damped = 0.5 * (1 + np.cos(np.pi * distance / CUTOFF)) / np.maximum(distance, 0.5) ** 2
        smeared = np.exp(-0.5 * ((distance[:, None] - _CENTRES) / _WIDTH) ** 2)
        np.add.at(histograms, of_pair, damped[:, None] * smeared)
    return np.concatenate([histograms.ravel() / len(atoms), shares])


def principal_components(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first two principal components, (n, 2), and their fractions of the variance, (2,)."""
    centred = features - features.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    found = min(2, len(s))
    components = np.zeros((len(features), 2))
    components[:, :found] = u[:, :found] * s[:found]
    shares = np.zeros(2)
    total = float((s**2).sum())
    if total > 0:
        shares[:found] = s[:found] ** 2 / total
    return components, shares
