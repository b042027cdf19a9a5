"""Training in a process that dies by itself at a chosen moment, as suddenly as by `kill -9`."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from stopping import NoisyModule

import mattertune_nb as mt
from mattertune_nb.model.baseline import ZeroShotBaseline
from mattertune_nb.training import pace, tuner
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.checkpoints import WholeCheckpointIO
from mattertune_nb.training.run_dir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

PHASES = ("start-up", "making", "baseline", "training", "checkpoint", "validation", "end")

_FILE_EVENTS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.utime"}


@dataclass(frozen=True)
class Moment:
    """When a process dies.

    Attributes
    ----------
    phase
        Of :data:`PHASES`.
    visit
        Which time that the phase is entered, from 0.
    seconds
        After so many of it; at its end, where it is over sooner.
    files
        Instead: before the so-manieth time of it that a file is opened, renamed, made or removed.
    """

    phase: str
    visit: int
    seconds: float = 0.0
    files: int | None = None


class Phases:
    """Follows a run through its phases, notes how long each takes, and dies in one of them."""

    def __init__(self, root: Path, moment: Moment | None) -> None:
        self.root, self.moment = str(root), moment
        self.visits: Counter[str] = Counter()
        self.files = 0
        self.seen: list[tuple[str, float, int]] = []
        """Each visit: phase, seconds, events of files."""
        self.phase = ""
        self._entered = 0.0
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _FILE_EVENTS or not str(args[0]).startswith(self.root):
            return
        self.files += 1
        if self._is_here() and self.moment.files is not None and self.files > self.moment.files:
            die()

    def _is_here(self) -> bool:
        m = self.moment
        return m is not None and (m.phase, m.visit) == (self.phase, self.visits[self.phase] - 1)

    def enter(self, phase: str) -> None:
        """Leave the phase before, and die there if that is where to."""
        if self._is_here():
            die()
        now = time.perf_counter()
        if self.phase:
            self.seen.append((self.phase, now - self._entered, self.files))
        self.phase, self.files = phase, 0
        self._entered = now
        self.visits[phase] += 1
        if self._is_here() and self.moment.files is None:
            # by default this signal ends a process at once, wherever it is, and nothing is cleaned up
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, max(self.moment.seconds, 1e-6))

    @contextlib.contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Be in a phase, and then in the one before."""
        before = self.phase
        self.enter(phase)
        yield
        self.enter(before)

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Let a function be a phase."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.within(phase):
                return function(*args, **kwargs)

        setattr(owner, name, wrapped)


class Marks(Callback):
    """Tells what Lightning does."""

    def __init__(self, phases: Phases) -> None:
        self._phases = phases

    def on_train_epoch_start(self, *args: Any) -> None:
        self._phases.enter("training")

    def on_validation_start(self, trainer: Any, *args: Any) -> None:
        self._phases.enter("validation")

    def on_validation_end(self, trainer: Any, *args: Any) -> None:
        if self._phases.phase == "validation":
            self._phases.enter("training" if trainer.training else "start-up")

    def on_train_end(self, *args: Any) -> None:
        self._phases.enter("end")


def die() -> None:
    """End this process as the kernel ends one that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def train(config_file: Path, is_new: bool, moment: Moment | None, told: Any = None) -> None:
    """Train as a config says, or go on, in a process of its own; dies at a moment."""
    os.setpgrp()
    config = mt.MatterTunerConfig.from_yaml(config_file)
    run = RunDirectory(config.run.root / str(config.run.name))
    phases = Phases(config.run.root, moment)
    phases.enter("start-up")
    pace.SHARE = 0.0  # what is measured as often as the clock allows differs between any two runs
    phases.wrap(RunDirectory, "create", "making")
    phases.wrap(ZeroShotBaseline, "on_train_start", "baseline")
    phases.wrap(RunSupervisor, "_save", "checkpoint")
    phases.wrap(WholeCheckpointIO, "save_checkpoint", "checkpoint")
    tuner_ = tuner.MatterTuner(config, module_class=NoisyModule)
    marks = [Marks(phases)]
    tuner_.tune(marks) if is_new else tuner_.resume(run, marks)
    phases.enter("")
    if told is not None:
        told.send(phases.seen)
