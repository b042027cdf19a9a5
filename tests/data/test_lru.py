"""Bounded memory: what was used last stays."""

from __future__ import annotations

import pickle

from mattertune_nb.data.lru import BoundedMemory


def test_what_was_used_last_stays():
    memory: BoundedMemory[int, str] = BoundedMemory(3e-6)
    for key in range(3):
        memory.put(key, str(key), 1)
    assert memory.get(0) == "0"
    memory.put(3, "3", 1)
    assert [memory.get(key) for key in range(4)] == ["0", None, "2", "3"]
    assert memory.bytes == 3


def test_what_is_too_large_is_not_kept_and_drops_nothing():
    memory: BoundedMemory[int, str] = BoundedMemory(3e-6)
    memory.put(0, "small", 2)
    memory.put(1, "large", 4)
    assert memory.get(0) == "small"
    assert memory.get(1) is None


def test_values_do_not_travel_to_another_process():
    memory: BoundedMemory[int, str] = BoundedMemory(3e-6)
    memory.put(0, "0", 1)
    copy = pickle.loads(pickle.dumps(memory))
    assert len(copy) == 0
    copy.put(1, "1", 3)
    assert copy.get(1) == "1"
