"""Asks a run to end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from mattertune_nb.training.run_dir import RunDirectory


class RunStopped(Exception):  # noqa: N818  not an error: the run ends as asked, and is returned
    """Raised at an optimizer step, after `last` has been saved, to leave Lightning's loops."""


class StopRequest:
    """Whether the run should end: Ctrl-C, SIGTERM, a stop file, a missing directory, or the time limit.

    Parameters
    ----------
    run
        Run whose stop file counts.
    seconds
        Seconds from now after which the run should end.
    """

    def __init__(self, run: RunDirectory, seconds: float | None = None) -> None:
        self._run = run
        self.signal: int | None = None
        """The last signal that asked for the end."""
        self.at_once = False
        """Whether a signal ends the run at once, because no step could be lost yet."""
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        self.reserved = 0.0
        """Seconds reserved before the end for the last validation."""

    @property
    def seconds_left(self) -> float | None:
        """Time until the run should end; ``None`` if it has no limit."""
        return None if self._end is None else max(self._end - self.reserved - time.monotonic(), 0.0)

    @property
    def is_late(self) -> bool:
        """Whether the time limit has passed."""
        return self.seconds_left == 0.0

    def __bool__(self) -> bool:
        asked = self.signal is not None or self._run.is_stopping()
        return asked or self.is_late or not self._run.config_file.exists()

    @property
    def reason(self) -> str:
        """Why the run should end, in words; empty if it should not."""
        if self.signal is not None:
            by = "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name
            return f"interrupted by {by}"
        if self._run.is_stopping():
            return "stopped by the user"
        return "the time limit (trainer.max_time) is reached" if self.is_late else ""

    @contextlib.contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Record SIGINT and SIGTERM instead of dying; a second Ctrl-C ends the run at once.

        So does the first if :attr:`at_once` is set.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        self.install()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Replace Lightning's handlers, which would treat an interrupted validation as a failure."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        twice = number == signal.SIGINT and self.signal is not None
        self.signal = number
        if twice or self.at_once:
            # not KeyboardInterrupt, which Lightning turns into SystemExit: a cell would lose its results
            raise RunStopped
