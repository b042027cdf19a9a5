"""A progress bar for what takes long, where somebody sees it."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

_LONG = 20_000
"""Things to do of which fewer take a moment."""
_LARGE = 200_000_000
"""Bytes of a file of which fewer take a moment."""


def watched(items: Sequence[T], what: str) -> Iterable[T]:
    """Return what is iterated over, with a bar on the terminal while it is: of many, and in the main thread.

    Parameters
    ----------
    items
        What there is to do.
    what
        In words.
    """
    if len(items) < _LONG or not _is_seen():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)


@contextmanager
def watched_file(size: int, what: str) -> Iterator[Callable[[int], None]]:
    """Give what is told how far a file is read, for the same bar: of a large one, in the main thread.

    Parameters
    ----------
    size
        Bytes of the file.
    what
        In words.
    """
    if size < _LARGE or not _is_seen():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=size)
        yield lambda done: progress.update(task, completed=done)


def _is_seen() -> bool:
    return sys.stderr.isatty() and threading.current_thread() is threading.main_thread()
