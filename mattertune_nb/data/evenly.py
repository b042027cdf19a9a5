"""A few of many items, evenly spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def evenly_spread(n: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of `n` positions, ascending and including both ends.

    Parameters
    ----------
    n
        Total number.
    most
        Maximum number to select.
    """
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
