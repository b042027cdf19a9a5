"""A progress bar for long operations, if somebody can see it."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

_LONG = 20_000
"""With fewer items than this no bar is needed."""
_LARGE = 200_000_000
"""With fewer bytes than this no bar is needed."""


def watched(items: Sequence[T], what: str) -> Iterable[T]:
    """Return an iterable that shows a progress bar on a terminal: for many items, in the main thread.

    Parameters
    ----------
    items
        The items.
    what
        Description of the work.
    """
    if len(items) < _LONG or not _is_seen():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)


@contextmanager
def watched_file(size: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that reports reading progress on such a bar: for a large file, in the main thread.

    Parameters
    ----------
    size
        Size of the file in bytes.
    what
        Description of the work.
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
