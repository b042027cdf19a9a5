"""Signs of life for other machines, which cannot check whether a process is alive."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 2.0


@contextlib.contextmanager
def beating(status_file: Path) -> Iterator[None]:
    """Renew the time of a run's status file every few seconds, whatever this process is busy with."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_SECONDS):
            # not rewritten, which could undo what training writes meanwhile
            with contextlib.suppress(OSError):
                os.utime(status_file)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
