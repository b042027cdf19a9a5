"""A few of many, evenly spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def evenly_spread(n: int, most: int) -> NDArray[np.int64]:
    """Return at most so many of `n` positions, ascending and with both ends.

    Parameters
    ----------
    n
        How many there are.
    most
        How many are taken.
    """
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
