"""A few live viewers at a time, as browsers allow no more."""

from __future__ import annotations

from collections import deque
from typing import Protocol

MAX_LIVE = 6
"""Live viewers at a time: a browser gives a page some 16 WebGL contexts and takes the oldest away."""


class Sleeper(Protocol):
    """Something that has a live viewer and can do without."""

    def sleep(self) -> None:
        """Give the viewer back."""


awake: deque[Sleeper] = deque()
"""Who has a live viewer, the one that has had it longest first."""


def stay_awake(owner: Sleeper) -> None:
    """Note that `owner` has a live viewer; the oldest of too many is put to sleep."""
    awake.append(owner)
    while len(awake) > MAX_LIVE:
        awake[0].sleep()


def has_fallen_asleep(owner: Sleeper) -> None:
    """Note that `owner` has no live viewer any more."""
    if owner in awake:
        awake.remove(owner)
