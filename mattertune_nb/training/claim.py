"""One process at a time in a folder, on any file system, even one shared by several machines.

Locks of the system, as filelock's, are missing on some shared file systems; its ``SoftFileLock`` would do,
but one left by a killed process stays for good where the process was another machine's.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST = 10.0
"""Seconds after which a lock counts as abandoned: it is held for milliseconds unless its holder died."""

_PAUSE = 0.02


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside ``with claimed(folder)``, and keep others out.

    Raises
    ------
    RunError
        The folder cannot be written.
    """
    lock = folder / ".claim"
    try:
        while not _created(lock):
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > _LONGEST:
                    lock.unlink()
            time.sleep(_PAUSE)
    except OSError as exc:
        msg = f"{folder}: cannot be written ({exc.strerror}); it may have been deleted."
        raise RunError(msg) from exc
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _created(lock: Path) -> bool:
    """Create a file, or return False if it already exists."""
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
