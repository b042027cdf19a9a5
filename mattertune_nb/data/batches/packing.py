"""Batches with a maximum number of atoms; a larger structure is a batch of its own."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Batches = list[list[int]]

_SPREADS = (2.0, 1.0, 0.5, 0.25, 0.1, 0.0)


def pack_in_order(sizes: NDArray[np.int64], max_atoms: int) -> Batches:
    """Fill one batch after the other in the order of the data."""
    batches: Batches = []
    room = -1
    for i, size in enumerate(sizes.tolist()):
        if size > room:
            batches.append([])
            room = max_atoms
        batches[-1].append(i)
        room -= size
    return batches


def fewest_batches(sizes: NDArray[np.int64], max_atoms: int) -> int:
    """Return the number of batches in which :func:`pack_at_random` can place all structures for any seed."""
    return len(_best_fit(np.argsort(-sizes, kind="stable"), sizes, max_atoms))


def pack_at_random(
    sizes: NDArray[np.int64], max_atoms: int, count: int, rng: np.random.RandomState
) -> Batches:
    """Place structures at random in at most `count` batches.

    Each structure goes where it leaves the least room. In fully random order this may need too many batches,
    so larger structures are placed earlier as far as necessary; from the largest to the smallest,
    :func:`fewest_batches` are needed whatever the order among equal sizes.

    Parameters
    ----------
    sizes
        (n,) numbers of atoms.
    max_atoms
        Maximum number of atoms per batch.
    count
        At least :func:`fewest_batches`.
    rng
        Source of randomness.
    """
    # a single draw for all attempts, so that the random stream does not depend on their number
    noise, order = rng.normal(size=len(sizes)), rng.permutation(len(sizes))
    for spread in _SPREADS:
        key = np.log(sizes[order]) + spread * noise
        batches = _best_fit(order[np.argsort(-key, kind="stable")], sizes, max_atoms)
        if len(batches) <= count:
            break
    return batches


def divide_to(batches: Batches, sizes: NDArray[np.int64], count: int) -> Batches:
    """Halve the largest batches until there are `count`, or each contains one structure."""
    done: Batches = []
    heap = [(-int(sizes[batch].sum()), i, batch) for i, batch in enumerate(batches)]
    heapq.heapify(heap)
    while heap and len(heap) + len(done) < count:
        _, i, batch = heapq.heappop(heap)
        if len(batch) == 1:
            done.append(batch)
            continue
        half = len(batch) // 2
        for k, part in enumerate((batch[:half], batch[half:])):
            heapq.heappush(heap, (-int(sizes[part].sum()), 2 * i + k, part))
    return sorted(done + [batch for _, _, batch in heap])


def merge_to(batches: Batches, sizes: NDArray[np.int64], count: int) -> Batches:
    """Merge the smallest batches until there are `count`; these may exceed the limit."""
    heap = [(int(sizes[batch].sum()), batch) for batch in batches]
    heapq.heapify(heap)
    while len(heap) > count:
        (size, batch), (other_size, other) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (size + other_size, batch + other))
    return [batch for _, batch in heap]


def _best_fit(order: Iterable[int], sizes: NDArray[np.int64], max_atoms: int) -> Batches:
    """Place structures in this order, each in the fullest batch that has room for it."""
    batches: Batches = []
    rooms: list[tuple[int, int]] = []  # room and batch, least room first
    for i in order:
        size = int(sizes[i])
        k = bisect_left(rooms, (size, -1))
        if k < len(rooms):
            room, batch = rooms.pop(k)
        else:
            room, batch = max_atoms, len(batches)
            batches.append([])
        batches[batch].append(int(i))
        insort(rooms, (room - size, batch))
    return batches
