"""A progress bar for what takes long, where somebody sees it."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")

_LONG = 20_000
"""Things to do of which fewer take a moment."""


def watched(items: Sequence[T], what: str) -> Iterable[T]:
    """Return what is iterated over, with a bar on the terminal while it is: of many, and in the main thread.

    Parameters
    ----------
    items
        What there is to do.
    what
        In words.
    """
    is_seen = sys.stderr.isatty() and threading.current_thread() is threading.main_thread()
    if len(items) < _LONG or not is_seen:
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)
