"""Periodic checks for a view, for as long as the view exists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable

T = TypeVar("T")


def keep_looking(
    view: weakref.ref[T], look: Callable[[T], float | None], pause: float = 0.0
) -> None:
    """Check now and then; to be called in a separate thread, which does not keep the view alive.

    Parameters
    ----------
    view
        View on whose behalf to check.
    look
        Called with the view; returns the seconds until the next check, or ``None`` to stop.
    pause
        Seconds before the first check.
    """
    seconds: float | None = pause
    while seconds is not None:
        time.sleep(seconds)
        there = view()
        if there is None:
            return
        seconds = look(there)
        del there
