"""Two things measured in turn, so that a machine whose speed drifts does not decide."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def seconds(action: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(
    title: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5
) -> float:
    """Print and return the median ratio of the times of two actions, called in turn after a warm-up."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    ratio = statistics.median(ratios)
    _mine, _other = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    return ratio
