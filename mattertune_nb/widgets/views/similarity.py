"""A map of structures on which those that are alike lie close together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

_TOO_MANY_ATOMS = 2_000


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
