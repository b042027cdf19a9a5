"""A bounded cache that drops the least recently used entries.

``cachetools.LRUCache`` measures a value when it is stored, by one function for all, and refuses one above its
limit with an error; here whoever stores it knows its size, and such a value is just not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedMemory(Generic[K, V]):
    """Values by key, of which the most recently used are kept, up to a number of bytes.

    Parameters
    ----------
    megabytes
        Limit; 0 keeps nothing. A single value above the limit is not kept.

    Attributes
    ----------
    bytes
        Current size.
    """

    def __init__(self, megabytes: float) -> None:
        self._bound = int(megabytes * 1e6)
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """Return a cached value, which counts as a use, or ``None``."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: K, value: V, size: int) -> None:
        """Cache a new value of `size` bytes, and drop others until all fit."""
        if size > self._bound:
            return
        self._kept[key] = (value, size)
        self.bytes += size
        while self.bytes > self._bound:
            _, (_, dropped) = self._kept.popitem(last=False)
            self.bytes -= dropped

    def __reduce__(self) -> tuple[Any, ...]:
        # pickled without its values: each worker fills its own
        return type(self), (self._bound / 1e6,)
