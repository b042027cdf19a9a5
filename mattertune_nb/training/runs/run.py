"""A run from the outside: started in a separate process, attached to, stopped, resumed."""

from __future__ import annotations

import math
import os
import re
import time
import weakref
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError, RunError
from mattertune_nb.training.files import write_text
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.length import last_step
from mattertune_nb.training.outcome.verdict import Verdict, verdict
from mattertune_nb.training.records.summary import summary_of
from mattertune_nb.training.run_dir import CLAIMED_BY, RunDirectory
from mattertune_nb.training.runs.background import resume_in_background

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mattertune_nb.config.trainer import TrainerConfig
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.physics.scorecard import Scorecard
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.records.status import Status
    from mattertune_nb.widgets.live.dashboard import Dashboard

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Terminal codes for colours."""


class Run:
    """A run, in whichever process it trains; everything is read from its directory.

    Parameters
    ----------
    path
        The run's directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.directory = RunDirectory.open(path)
        self._process: subprocess.Popen[bytes] | None = None
        self._dashboard: Callable[[], Dashboard | None] = lambda: None

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self.directory.path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    @classmethod
    def attach(cls, path: str | Path) -> Run:
        """Return the run in a directory, whether running or not, e.g. after a kernel restart.

        Parameters
        ----------
        path
            The run's directory.

        Raises
        ------
        RunError
            There is no run.
        """
        return cls(path)

    def __repr__(self) -> str:
        status = self.status()
        return f"Run({str(self.path)!r}, {status.state}, epoch {status.counted_epoch}, step {status.step})"

    def config(self) -> MatterTunerConfig:
        """Return the config of the run."""
        return self.directory.config()

    def status(self) -> Status:
        """Return state, epoch, step and, if the run failed, its error."""
        if self._process is not None:
            self._process.poll()  # a finished child stays a zombie until it is polled
        return self.directory.status()

    def is_active(self) -> bool:
        """Return whether a process is training the run."""
        return self.status().is_active

    def metrics(self) -> list[dict[str, Any]]:
        """Return all records of metrics; see :meth:`RunDirectory.metrics`."""
        return self.directory.metrics()

    def verdict(self) -> Verdict:
        """Return the gains of the run so far; converted to a string, they are one sentence."""
        return verdict(summary_of(self.directory))

    def log_tail(self, n_lines: int = 40) -> str:
        """Return the last lines of the log and of printed output; half of each if both are long.

        Parameters
        ----------
        n_lines
            Maximum number of lines.
        """
        log = _last_lines(self.directory.log_file, n_lines)
        printed = _last_lines(self.directory.console_file, n_lines)
        n_printed = min(len(printed), max(n_lines // 2, n_lines - len(log)))
        n_log = min(len(log), n_lines - n_printed)
        return "\n".join([*log[len(log) - n_log :], *printed[len(printed) - n_printed :]])

    def start(self) -> Run:
        """Train in a separate process, from the newest checkpoint or from the beginning.

        The process continues when this one ends.

        Raises
        ------
        RunError
            A process is already training the run.
        ConfigError
            The run's settings cannot be read.
        """
        self.config()
        self.directory.claim()
        self._process = resume_in_background(
            self.path, self.directory.console_file, {CLAIMED_BY: str(os.getpid())}
        )
        self.directory.write_status("starting", pid=self._process.pid)
        return self

    def stop(self) -> None:
        """Ask the run to end at its next optimizer step, with its last state saved."""
        self.directory.request_stop()

    def resume(self) -> Run:
        """Continue a run that was stopped or crashed; the same as :meth:`start`."""
        return self.start()

    def train_longer(self, epochs: int) -> Run:
        """Increase the number of epochs and continue.

        A cosine schedule as long as the run is stretched, so the learning rate rises again to where it would
        have been.

        Parameters
        ----------
        epochs
            Number of additional epochs.

        Raises
        ------
        RunError
            A process is training the run, or its length is not given in epochs.
        """
        config = self.config()
        if config.trainer.max_epochs in (None, -1):
            msg = f"{self.path}: the run has no max_epochs to increase; resume it instead."
            raise RunError(msg)
        if self.is_active():
            msg = f"{self.path}: the run is training. Stop it first, or wait until it ends."
            raise RunError(msg)
        config.trainer.max_epochs += epochs
        write_text(self.directory.config_file, config.to_yaml())
        return self.start()

    def wait(self, timeout: float | None = None, poll: float = 0.2) -> Status:
        """Wait until no process trains the run, for at most `timeout` seconds.

        In a notebook, Stop and all other widgets keep working. Interrupting the kernel ends the wait but not
        the run.

        Parameters
        ----------
        timeout
            Maximum number of seconds; by default unlimited.
        poll
            Seconds between two checks of the run.
        """
        with InCell(self.name, "ends the wait, not the run") as cell:
            try:
                now = self._follow(cell, math.inf if timeout is None else timeout, poll)
            except KeyboardInterrupt:
                now = self.status()
                cell.end(
                    f"the wait was interrupted after {cell.seconds}; {now.state} at step {now.step}"
                )
                msg = "The wait ended; the run continues. run.stop() ends it."
                raise KeyboardInterrupt(msg) from None
            if (shown := self._dashboard()) is not None:
                shown.refresh()  # so that both places agree at all times
            still = "still " if now.is_active else ""
            cell.end(f"{still}{now.state} at step {now.step}")
        return now

    def _follow(self, cell: InCell, timeout: float, poll: float) -> Status:
        """Show the progress of the run in a cell until no process trains it, and return its last status."""
        end = time.monotonic() + timeout
        trainer = self._trainer_settings()
        while (now := self.status()).is_active and time.monotonic() < end:
            total = last_step(trainer, now.steps_per_epoch) if trainer else None
            of = f" of {total}" if total else ""
            at = f", step {now.step}{of}" if now.step else " …"
            cell.tell(f"{now.state}{at}", now.step, total or 0)
            cell.sleep(poll)
        return now

    def _trainer_settings(self) -> TrainerConfig | None:
        """Return the limits of the run, if its config can be read."""
        try:
            return self.config().trainer
        except (MatterTuneError, OSError):
            return None

    def model(self) -> FinetuneModuleBase:
        """Return the model with the best weights so far."""
        from mattertune_nb.training.outcome.models import load_model

        return load_model(self.path)

    def dashboard(self) -> Dashboard:
        """Return a live view for notebooks: curves, log, Stop and Resume."""
        from mattertune_nb.widgets.live.dashboard import dashboard

        shown = dashboard(self)
        self._dashboard = weakref.ref(shown)
        return shown

    def export(
        self, to: str = "vendor", path: str | Path | None = None, member: int | None = None
    ) -> Path:
        """Write the best weights for other programs, and return where they are.

        Parameters
        ----------
        to
            ``"vendor"``: the file that the backbone's own calculator loads, with the reference energies
            included in its per-element energies; ``"lammps"``: the file for its pair style, with an input and
            a data file beside it; ``"safetensors"``: tensors, settings and versions for archiving, usable
            like a checkpoint.
        path
            The file; by default in the run's directory.
        member
            For a model with copies of its last block, the index of the copy to write, counted from 0; other
            programs do not support ensembles. An archive contains all copies by default.

        Raises
        ------
        ConfigError
            The format does not exist for this backbone.
        DataError
            The file cannot be written.
        """
        from mattertune_nb.training.outcome.export import export

        return export(self, to, path, member)

    def validate(
        self,
        checks: Sequence[str] | None = None,
        *,
        data: str | Path | None = None,
        seconds: float = 150.0,
        temperature: float = 300.0,
        progress: Callable[[str, int, int], object] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Scorecard:
        """Check whether the best weights are fit for use, compared with the untuned ones if available.

        The checks are errors by element, size of force and distance from training, for an ensemble also
        against its spread; forces against finite differences, rotation, permutation, size consistency, holes
        between atoms, energy against volume, elastic constants, phonons, energy conservation, stability with
        a thermostat and the radial distribution function, relaxations from rattled and random dense
        structures.
        Together they take less than three minutes on two cores for cells of up to 100 atoms; the scorecard is
        saved in the directory.

        Parameters
        ----------
        checks
            Names, e.g. ``["nve", "walls"]``; by default all.
        data
            Structures of the target; by default the validation set.
        seconds
            Time for dynamics and relaxations together, which run as far as it allows.
        temperature
            Temperature of the dynamics, in K.
        progress
            Called with the name of a check, and the numbers of checks done and in total.
        cancelled
            Called regularly; returns whether to stop.

        Raises
        ------
        ConfigError
            There is no check with this name.
        RunError
            The run has no checkpoint yet.
        DataError
            The structures cannot be read.
        """
        from mattertune_nb.training.outcome.validate import validate

        return validate(
            self, checks, data=data, seconds=seconds, temperature=temperature, progress=progress,
            cancelled=cancelled,
        )  # fmt: skip

    def report(self, path: str | Path | None = None, dataset: Any = None) -> Path:
        """Write the run to one HTML file that opens without a kernel, and return the path.

        Parameters
        ----------
        path
            The file; by default ``report.html`` in the run's directory.
        dataset
            Structures with labels for parity and the worst structures; by default the validation set.

        Raises
        ------
        DataError
            The file cannot be written.
        """
        from mattertune_nb.widgets.report.report import report

        return report(self, path, dataset)


def _last_lines(file: Path, n: int) -> list[str]:
    if not file.is_file():
        return []
    with file.open("rb") as handle:
        handle.seek(max(file.stat().st_size - 400 * n, 0))
        text = handle.read().decode(errors="replace")
    return _COLOURS.sub("", text).splitlines()[-n:]
