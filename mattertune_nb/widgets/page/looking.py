"""What is looked at again and again for a view, as long as there is the view."""

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
    """Look now and then; to be called in a thread of its own, which keeps no view alive.

    Parameters
    ----------
    view
        For which it is looked.
    look
        Given the view; returns the seconds until the next look, ``None`` where there is none.
    pause
        Seconds before the first look.
    """
    seconds: float | None = pause
    while seconds is not None:
        time.sleep(seconds)
        there = view()
        if there is None:
            return
        seconds = look(there)
        del there
