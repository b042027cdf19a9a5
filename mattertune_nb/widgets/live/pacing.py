"""How often a page is updated about a run that trains in the same thread."""

from __future__ import annotations

_LEAST = 0.25
"""Seconds between two updates."""

_MOST = 5.0
"""The same if updates are expensive; a page without updates for longer would show outdated facts."""

_BURST = 0.2
"""Seconds that updates may take beyond their share, so that the first curves appear at once."""


class Pacing:
    """Decides when to update a page, so that updates take no more than a share of the run's time.

    A slow update, such as the first on a busy machine, delays the next by at most :data:`_MOST` s.

    Parameters
    ----------
    start
        Start time in s; like all times here, from any monotonic clock.
    share
        Fraction of the run's time that updates may take.
    """

    def __init__(self, start: float, share: float) -> None:
        self._start, self._share = start, share
        self._spent, self._next = 0.0, start

    def is_due(self, now: float) -> bool:
        """Return whether the page should be updated."""
        return now >= self._next

    def has_updated(self, start: float, end: float) -> None:
        """Record an update that took from `start` to `end`."""
        self._spent += end - start
        affordable = self._start + (self._spent - _BURST) / self._share
        self._next = min(max(end + _LEAST, affordable), end + _MOST)
