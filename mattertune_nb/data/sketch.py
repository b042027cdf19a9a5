"""A sketch of a structure: numbers by which equal structures are found.

They do not depend on wrapping into the cell, the order of the atoms, or where a molecule is: Fourier sums
over the atoms along three directions, which are smooth in the positions, so that rounding has no edge between
equal structures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_NUMBERS = 7
"""Numbers in a sketch: three complex sums, and one of the cell."""

UNIT = 1e-4
"""Root mean square deviation in Å below which structures count as equal; files have more digits."""

_DIRECTIONS = np.array([[1, 2, 3], [3, 1, -2], [2, -3, 1]], dtype=np.float64)
_WAVES = np.array([[1.3, 0.4, -0.7], [0.5, -1.1, 0.9], [-0.8, 0.6, 1.2]])  # 1/Å, without a cell
_OF_CELL = np.array([0.83, 0.41, -0.57, 0.29, 0.97, 0.67, -0.37, 0.73, 0.89])
_GOLDEN = (5**0.5 - 1) / 2


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
        positions = positions - positions.mean(axis=0)
    weights = 1 + numbers * _GOLDEN % 1.0
    # a wave's sum divided by its wave number changes by as much as the atoms move
    sums = weights @ np.exp(1j * (positions @ waves)) / np.linalg.norm(waves, axis=0)
    found = np.concatenate([sums.view(np.float64) / np.sqrt(len(numbers)), [of_cell]])
    return np.asarray(found / UNIT)
