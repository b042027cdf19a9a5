"""What a run is doing, according to its status file and to the reader."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import psutil

from mattertune_nb.config.escaped import printable

State = Literal["starting", "running", "stopped", "finished", "failed", "crashed", "removed"]

GONE = "The process ended without a message: it was killed, ran out of memory, or the machine went down."
REMOVED = "The run's directory was removed."

_SILENCE = 600.0
"""Seconds without a sign of life after which a process on another machine is presumed dead."""


@dataclass(frozen=True)
class Status:
    """What a run is doing.

    Parameters
    ----------
    state
        ``crashed`` and ``removed`` are never written: a reader reports them if the process or the run's
        directory is gone.
    epoch, step
        Epochs begun, counted from 0, and optimizer steps done.
    pid, host
        The process that trains.
    heartbeat
        Time of the last sign of life, in seconds since 1970; a reader uses the modification time of the
        status file if that is later.
    error
        Message of the error that ended the run.
    saved_epoch, saved_step
        Position of the newest checkpoint; 0 if none has been written.
    note
        Remark about a run that has ended, e.g. that it predicts worse than before.
    steps_per_epoch
        Optimizer steps per epoch; 0 before training has begun.
    """

    state: State
    epoch: int = 0
    step: int = 0
    pid: int = 0
    host: str = ""
    heartbeat: float = 0.0
    error: str | None = None
    saved_epoch: int = 0
    saved_step: int = 0
    note: str = ""
    steps_per_epoch: int = 0

    def __repr__(self) -> str:
        error = f", {printable(self.error)}" if self.error else ""
        return f"Status({self.state}, epoch {self.counted_epoch}, step {self.step}{error})"

    @property
    def is_active(self) -> bool:
        """Whether a process is training the run."""
        return self.state in ("starting", "running")

    @property
    def counted_epoch(self) -> int:
        """The current epoch, or the last one, counted from 1."""
        return max(self.epoch, 1) if self.state == "finished" else self.epoch + 1

    @property
    def goes_on_at(self) -> tuple[int, int]:
        """Epoch and step at which a resumed run continues: steps lost in a crash are repeated."""
        if self.state in ("starting", "finished"):
            return self.epoch, self.step
        return self.saved_epoch, self.saved_step


def parse_status(data: Any) -> Status:
    """Create a status from the contents of its file.

    Raises
    ------
    ValueError
        A field is missing or has the wrong type.
    """
    if not isinstance(data, dict) or data.get("state") not in get_args(State):
        msg = "it has no known state"
        raise ValueError(msg)
    status = Status(**{k: v for k, v in data.items() if k in Status.__dataclass_fields__})
    counts = (
        *(status.epoch, status.step, status.steps_per_epoch, status.pid),
        *(status.saved_epoch, status.saved_step),
    )
    if not (
        all(type(count) is int and 0 <= count < 2**31 for count in counts)
        and type(status.heartbeat) in (int, float)
        and math.isfinite(status.heartbeat)
        and (status.pid > 0 or not status.is_active)
        and isinstance(status.host, str)
        and isinstance(status.note, str)
        and isinstance(status.error, str | None)
    ):
        msg = "a field is of another kind"
        raise ValueError(msg)
    return status


def is_alive(status: Status) -> bool:
    """Return whether the process that trains a run is alive."""
    if status.host != socket.gethostname():
        # processes on another machine cannot be queried; a heartbeat comes every few seconds, see
        # heartbeat.py; one far in the future is not of a clock that is a little ahead
        return abs(time.time() - status.heartbeat) < _SILENCE
    try:
        process = psutil.Process(status.pid)
        # process ids are reused after a crash: the process must be older than its heartbeat
        return bool(
            process.status() != psutil.STATUS_ZOMBIE
            and process.create_time() <= status.heartbeat + 1
        )
    except psutil.Error:
        return False
