"""A map of structures on which those that are alike lie close together."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
from vesin import NeighborList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

CUTOFF = 6.0
"""Å; atoms farther apart do not see each other on the map."""

_WIDTH = 0.4  # Å, of a Gaussian
_CENTRES = np.arange(0.6, CUTOFF, _WIDTH)
_TOO_MANY_ATOMS = 2_000


def surroundings(atoms: Atoms, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Return how the atoms of a structure surround each other, averaged over its atoms.

    For each pair of elements a histogram of distances up to 6 Å, smeared by Gaussians 0.4 Å wide and
    damped to nothing at the cutoff and by the square of the distance, as each shell holds more atoms than
    the one within; after them the share of each element.

    Parameters
    ----------
    atoms
        The structure.
    numbers
        Atomic numbers of all elements of the set, so that structures can be compared.

    Returns
    -------
    NDArray
        (pairs of elements times centres + elements,).
    """
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


def too_large(atoms: Atoms) -> bool:
    """Return whether a structure has more atoms than are compared."""
    return len(atoms) > _TOO_MANY_ATOMS


def principal_components(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first two principal components, (n, 2), and their shares of the variance, (2,)."""
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
