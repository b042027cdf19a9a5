"""Histogram bins, which also work for values that are equal up to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NARROW = 1e-9
"""A range smaller than this fraction of its values is rounding noise and cannot be divided into bins."""


def bin_edges(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the edges of `n` bins over the finite values, (n + 1,)."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    least = _NARROW * max(abs(low), abs(high))
    if high - low <= least:
        middle, half = (low + high) / 2, max(0.5, least)
        low, high = middle - half, middle + half
    edges: NDArray[np.float64] = np.linspace(low, high, n + 1, dtype=np.float64)
    return edges


def histogram(values: NDArray[np.float64], n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of finite values in each of `n` bins, (n,), and the edges, (n + 1,)."""
    return np.histogram(values, bins=bin_edges(values, n))
