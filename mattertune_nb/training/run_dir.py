"""The directory of a run: the single source of truth for everything that shows or resumes it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError, RunError, check_path
from mattertune_nb.config.places import BEST, CHECKPOINTS, LAST, PREVIOUS, SCORECARD, SERIES
from mattertune_nb.data.division.dividing import STAGES
from mattertune_nb.training.claim import claimed
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.training.files import (
    append_line,
    is_without_files,
    made_whole,
    read_lines,
    remove_unfinished,
    write_json,
    write_text,
)
from mattertune_nb.training.records.metrics import best_record, drop_undone, made_record
from mattertune_nb.training.records.status import GONE, REMOVED, Status, is_alive, parse_status
from mattertune_nb.training.records.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.training.records.status import State

CLAIMED_BY = "MATTERTUNE_NB_CLAIMED_BY"
"""Tells a process started for a run which process has claimed the run for it."""


class RunDirectory:
    """Paths and files of one run.

    Parameters
    ----------
    path
        The directory, e.g. ``runs/chgnet-li``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # processes forked or spawned by Lightning train on behalf of the one that made or claimed it
        self._pid = os.getpid()
        self.config_file = self.path / "config.yaml"
        self.status_file = self.path / "status.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.splits_file = self.path / "splits.json"
        self.summary_file = self.path / "summary.json"
        self.versions_file = self.path / "versions.json"
        self.log_file = self.path / "log.txt"
        self.console_file = self.path / "console.txt"
        self.validation_file = self.path / "validation.json"
        self.distances_file = self.path / "distances.json"
        self.findings_file = self.path / "findings.json"
        self.foreign_file = self.path / "foreign.json"
        self.walls_file = self.path / "walls.json"
        self.scorecard_file = self.path / SCORECARD
        self.card_file = self.path / "model_card.yaml"
        self.stop_file = self.path / "STOP"
        self.checkpoints = self.path / CHECKPOINTS
        self.best = self.checkpoints / BEST
        self.last = self.checkpoints / LAST
        self.previous = self.checkpoints / PREVIOUS
        self.next = self.checkpoints / "next.ckpt"
        self._splits: tuple[tuple[int, int], dict[str, list[int]]] | None = None

    @classmethod
    def create(cls, config: MatterTunerConfig) -> tuple[RunDirectory, MatterTunerConfig]:
        """Create the directory of a new run and write its config.

        Returns
        -------
        run
            The directory.
        config
            The config with the run's name filled in.

        Raises
        ------
        RunError
            The name is in use or the folder cannot be written.
        """
        given, root, name = config, config.run.root, config.run.name
        try:
            root.mkdir(parents=True, exist_ok=True)
            name = name or _free_name(root, config.model.name)
            path = root / name
            if cls(path).is_refused() or is_without_files(path):
                cls(path).remove()  # so that the name is free once the cause is fixed
            config = config.model_copy(update={"run": config.run.model_copy(update={"name": name})})
            with made_whole(path) as folder:
                run = cls(folder)
                run.checkpoints.mkdir()
                write_text(run.config_file, config.to_yaml())
                write_json(run.versions_file, versions())
                run.write_status("starting")
        except FileExistsError as exc:
            if given.run.name is None:  # taken by a run started at the same moment
                return cls.create(given)
            msg = (
                f"The run name '{name}' is in use in {root}. Choose another run.name, or continue "
                f"that run with: mattertune-nb resume {root / str(name)}"
            )
            raise RunError(msg) from exc
        except OSError as exc:
            msg = f"Cannot create a run directory in {root} ({exc.strerror}). Choose another run.root."
            raise RunError(msg) from exc
        return cls(path), config

    def is_refused(self) -> bool:
        """Return whether the run's process ended before training: the data or the machine was wrong."""
        # the log starts with training
        return self.status().state == "failed" and not self.log_file.exists()

    def remove(self) -> None:
        """Remove the directory of a run that never trained."""
        shutil.rmtree(self.path, ignore_errors=True)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Open the directory of an existing run.

        Raises
        ------
        RunError
            There is none.
        """
        run = cls(path)
        try:
            if run.config_file.is_file():
                return run
            if (run.path / SERIES).is_file():
                inside = sorted(run.path.glob("*/config.yaml"))
                one = f", e.g. {inside[0].parent}" if inside else ""
                msg = (
                    f"{path}: contains several runs. Give one of them{one}, or open all as "
                    "mt.EnsembleRun(path) or mt.LearningCurve(path)."
                )
            elif inside := sorted(run.path.glob("*/config.yaml")):
                msg = f"{path}: a folder of runs. Give one of them, e.g. {inside[0].parent}."
            elif run.path.is_file():
                msg = f"{path}: a file. Give the directory of its run."
            elif run.path.exists():
                msg = f"{path}: not a run directory: it contains no config.yaml. Check the path."
            else:
                msg = f"{path}: there is no such run. {check_path()}"
        except OSError as exc:
            msg = f"{path}: cannot be read ({exc.strerror}). Ask its owner for permission."
        raise RunError(msg)

    def refuse_own(self, path: Path, what: str) -> None:
        """Refuse to write `what`, e.g. an ``"export"``, over a file with which the run is shown or resumed.

        Raises
        ------
        DataError
            The path is that of such a file.
        """
        own = (value for value in vars(self).values() if isinstance(value, Path))
        if path.resolve() in {file.resolve() for file in own}:
            msg = f"{path}: a file of the run itself, which the {what} would replace. Name another file."
            raise DataError(msg)

    def config(self) -> MatterTunerConfig:
        """Return the config of the run."""
        return MatterTunerConfig.from_yaml(self.config_file)

    def write_status(
        self,
        state: State,
        *,
        epoch: int | None = None,
        step: int | None = None,
        error: str | None = None,
        pid: int | None = None,
        saved: tuple[int, int] | None = None,
        note: str = "",
        steps_per_epoch: int | None = None,
    ) -> None:
        """Replace the status file.

        Parameters
        ----------
        state, error
            What the run is doing now, and what ended it.
        epoch, step
            Its progress; unchanged by default.
        pid
            The training process; by default this one.
        saved
            Epoch and step of the newest checkpoint; unchanged by default.
        note
            Remark about the result.
        steps_per_epoch
            Optimizer steps per epoch; unchanged by default.
        """
        before = self._written_status() or Status(state)
        saved_epoch, saved_step = saved or (before.saved_epoch, before.saved_step)
        status = Status(
            state,
            epoch=before.epoch if epoch is None else epoch,
            step=before.step if step is None else step,
            pid=pid or self._pid,
            host=socket.gethostname(),
            heartbeat=time.time(),
            error=error,
            saved_epoch=saved_epoch,
            saved_step=saved_step,
            note=note,
            steps_per_epoch=before.steps_per_epoch if steps_per_epoch is None else steps_per_epoch,
        )
        write_json(self.status_file, asdict(status))

    def status(self) -> Status:
        """Return what the run is doing; a process that is gone without a message has crashed."""
        status = self._written_status()
        if not self.config_file.exists():
            return replace(status or Status("removed"), state="removed", error=REMOVED)
        if status is None:
            return Status("crashed", error="The run has no readable status file.")
        if status.is_active and not is_alive(status):
            return replace(status, state="crashed", error=GONE)
        return status

    def _written_status(self) -> Status | None:
        try:
            status = parse_status(json.loads(self.status_file.read_text(encoding="utf-8")))
            return replace(
                status, heartbeat=max(status.heartbeat, self.status_file.stat().st_mtime)
            )
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def is_of_this_process(self) -> bool:
        """Return whether the directory still exists and has not been replaced by another run's."""
        status = self._written_status()
        return self.config_file.exists() and (status is None or status.pid == self._pid)

    def is_stopping(self) -> bool:
        """Return whether the run was asked to stop."""
        return self.stop_file.exists()

    def claim(self) -> None:
        """Take over the run for training; if two processes try at once, one succeeds.

        Raises
        ------
        RunError
            Another process is training it, or the directory is gone.
        """
        self._pid = os.getpid()
        with claimed(self.path):
            status = self.status()
            claimed_by = int(os.environ.get(CLAIMED_BY, "0"))
            own = status.pid in (os.getpid(), claimed_by)
            if status.is_active and not own:
                msg = (
                    f"{self.path}: process {status.pid} on {status.host} is training this run. Stop "
                    "it first, or wait until it ends."
                )
                raise RunError(msg)
            try:
                # a run claimed for this process may have been asked to stop while it started
                if not (claimed_by and own and status.state == "starting"):
                    self.stop_file.unlink(missing_ok=True)
                for folder in (self.path, self.checkpoints):
                    remove_unfinished(folder)
                epoch, step = status.goes_on_at
                self.write_status("starting", epoch=epoch, step=step)
            except OSError as exc:
                msg = f"{self.path}: cannot be written ({exc.strerror}). Free space or check permissions."
                raise RunError(msg) from exc

    def request_stop(self) -> None:
        """Ask the run, in any process, to end at its next optimizer step, if it has not ended."""
        if not self.status().is_active:
            return
        self.stop_file.touch()
        if not self.status().is_active:  # it has ended in the meantime, see :meth:`end`
            self.stop_file.unlink(missing_ok=True)

    def end(
        self,
        state: State,
        epoch: int | None,
        step: int | None,
        error: str | None,
        note: str = "",
    ) -> None:
        """Write how the run ended; a stop request that came too late is discarded.

        Nothing is written if the directory was removed or replaced by another run's.
        """
        if self.is_of_this_process():
            self.write_status(state, epoch=epoch, step=step, error=error, note=note)
            self.stop_file.unlink(missing_ok=True)

    def append_metrics(self, kind: str, epoch: int, step: int, values: Mapping[str, Any]) -> None:
        """Append a record; `kind` is ``metrics``, ``changed``, or ``resumed`` if `step` comes next."""
        self.append(made_record(kind, epoch, step, values))

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record unchanged."""
        append_line(self.metrics_file, dict(record))

    def splits(self) -> dict[str, list[int]]:
        """Return the source frames of each set; empty if the file is absent or damaged."""
        try:
            stat = self.splits_file.stat()
            if self._splits is None or self._splits[0] != (stat.st_mtime_ns, stat.st_size):
                written = json.loads(self.splits_file.read_text(encoding="utf-8"))
                parts = {stage: list(written[stage]) for stage in STAGES if stage in written}
                self._splits = (stat.st_mtime_ns, stat.st_size), parts
            return self._splits[1]
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def metrics(self) -> list[dict[str, Any]]:
        """Return all valid records: steps repeated by a resumed run are listed once."""
        return drop_undone(read_lines(self.metrics_file)[0])

    def best_metrics(self) -> dict[str, Any]:
        """Return the record of the validation whose weights are kept as `best`; empty before one."""
        checkpoint = self.config().trainer.checkpoint
        return best_record(self.metrics(), checkpoint.monitor, checkpoint.mode)

    def checkpoints_newest_first(self) -> list[Path]:
        """Return the checkpoints from which training can continue, the most advanced first."""
        found = [path for path in (self.last, self.previous, self.best) if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _free_name(root: Path, backbone: str) -> str:
    stem = f"{backbone}-{time.strftime('%Y%m%d-%H%M%S')}"
    name, n = stem, 1
    while (root / name).exists():
        n += 1
        name = f"{stem}-{n}"
    return name
