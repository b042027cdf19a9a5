"""How often a page is told of a run that trains in the same thread."""

from __future__ import annotations

_LEAST = 0.25
"""Seconds between two updates."""

_MOST = 5.0
"""The same where updates are dear: a page that stands still for longer says what is no longer so."""

_BURST = 0.2
"""Seconds that updates may take beyond their share, so that the first curves come at once."""


class Pacing:
    """Says when to update a page, so that updates take no more than a share of the run's time.

    One that is slow, such as the first on a busy machine, delays the next by :data:`_MOST` s and no more.

    Parameters
    ----------
    start
        Time of the start in s, as all times here by any clock that only goes forward.
    share
        Part of the run's time that updates may take.
    """

    def __init__(self, start: float, share: float) -> None:
        self._start, self._share = start, share
        self._spent, self._next = 0.0, start

    def is_due(self, now: float) -> bool:
        """Return whether the page is to be updated."""
        return now >= self._next

    def has_updated(self, start: float, end: float) -> None:
        """Take note of an update from `start` to `end`."""
        self._spent += end - start
        affordable = self._start + (self._spent - _BURST) / self._share
        self._next = min(max(end + _LEAST, affordable), end + _MOST)
