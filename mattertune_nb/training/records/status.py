"""What a run is doing, as its status file says and as a reader judges it."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

import psutil

State = Literal["starting", "running", "stopped", "finished", "failed", "crashed", "removed"]

GONE = "The process ended without a word: killed, out of memory or the machine went down."
REMOVED = "The run's directory was removed."

_SILENCE = 600.0
"""Seconds without a sign of life after which a process on another machine is taken for gone."""


@dataclass(frozen=True)
class Status:
    """What a run is doing.

    Parameters
    ----------
    state
        ``crashed`` and ``removed`` are never written: they are what a reader finds where the process or
        the run's directory is gone.
    epoch, step
        Epochs begun, counted from 0, and optimizer steps done.
    pid, host
        The process that trains.
    heartbeat
        Time of the last sign of life, seconds since 1970; a reader takes the status file's own where that
        is later.
    error
        Message of the error that ended the run.
    saved_epoch, saved_step
        Where the newest checkpoint stands; 0 where none has been written.
    note
        What a person should know of a run that has ended, e.g. that it predicts worse than before.
    steps_per_epoch
        Optimizer steps of an epoch; 0 before training has begun.
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
        error = f", {self.error}" if self.error else ""
        return f"Status({self.state}, epoch {self.counted_epoch}, step {self.step}{error})"

    @property
    def is_active(self) -> bool:
        """Whether a process is training the run."""
        return self.state in ("starting", "running")

    @property
    def counted_epoch(self) -> int:
        """The epoch under way, or the last one, counted from 1."""
        return max(self.epoch, 1) if self.state == "finished" else self.epoch + 1

    @property
    def goes_on_at(self) -> tuple[int, int]:
        """Epoch and step at which a resumed run goes on: what a crash lost is done again."""
        if self.state in ("starting", "finished"):
            return self.epoch, self.step
        return self.saved_epoch, self.saved_step


def parse_status(data: Any) -> Status:
    """Make a status of what its file holds.

    Raises
    ------
    ValueError
        Where a field is missing or is of another kind than the one that is written.
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
        and isinstance(status.host, str)
        and isinstance(status.note, str)
        and isinstance(status.error, str | None)
    ):
        msg = "a field is of another kind"
        raise ValueError(msg)
    return status


def is_alive(status: Status) -> bool:
    """Return whether the process that trains a run is there."""
    if status.host != socket.gethostname():
        # another machine's processes cannot be asked; a heartbeat comes every few seconds, see heartbeat.py
        return time.time() - status.heartbeat < _SILENCE
    try:
        process = psutil.Process(status.pid)
        # a pid is given out again after a crash: the process must be older than its heartbeat
        return bool(
            process.status() != psutil.STATUS_ZOMBIE
            and process.create_time() <= status.heartbeat + 1
        )
    except psutil.Error:
        return False
