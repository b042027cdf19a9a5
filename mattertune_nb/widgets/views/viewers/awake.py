"""A limited number of live viewers, because browsers allow no more."""

from __future__ import annotations

from collections import deque
from typing import Protocol

MAX_LIVE = 6
"""Maximum number of live viewers: a browser allows about 16 WebGL contexts per page and drops the oldest."""


class Sleeper(Protocol):
    """Something that has a live viewer and can do without it."""

    def sleep(self) -> None:
        """Release the viewer."""


awake: deque[Sleeper] = deque()
"""The owners of live viewers, oldest first."""


def stay_awake(owner: Sleeper) -> None:
    """Record that `owner` has a live viewer; the oldest of too many loses its viewer."""
    awake.append(owner)
    while len(awake) > MAX_LIVE:
        awake[0].sleep()


def has_fallen_asleep(owner: Sleeper) -> None:
    """Record that `owner` no longer has a live viewer."""
    if owner in awake:
        awake.remove(owner)
