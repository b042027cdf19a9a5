"""Runs in one folder that belong together: trained one after the other by one process, resumed as one."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psutil

from mattertune_nb.config.errors import RunError
from mattertune_nb.config.places import SERIES
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.training.files import made_whole, write_json, write_text
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.records.summary import summary_of
from mattertune_nb.training.runs.background import resume_in_background
from mattertune_nb.training.runs.run import Run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from typing import Self

    from mattertune_nb.widgets.live.compare import Comparison
    from mattertune_nb.widgets.page.picture import Message

_PROCESS, _STOP, _CONSOLE = "process.json", "STOP", "console.txt"


class RunSeries:
    """Runs that belong together, in whichever process they train; everything is read from their folder.

    Parameters
    ----------
    path
        The folder; each run is a directory inside it.

    Raises
    ------
    RunError
        There is no such series.
    """

    kind: ClassVar[str]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._process: subprocess.Popen[bytes] | None = None
        self.interrupted_by: int | None = None
        """As for a single run, see :class:`TuneResult`; of the last :meth:`train`."""
        if self._about().get("kind") != self.kind:
            msg = f"{self.path}: contains no {self.kind}. Check the path."
            raise RunError(msg)

    @classmethod
    def create(cls, folder: Path, configs: Mapping[str, MatterTunerConfig], **about: Any) -> Self:
        """Create the folder of a series of runs with these configs, by name; nothing is trained yet.

        Parameters
        ----------
        folder
            The folder, which must not exist.
        configs
            Settings of each run; root and name are replaced by its place in the folder.
        **about
            Further facts recorded about the series.

        Raises
        ------
        RunError
            The folder already exists, or cannot be created.
        """
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with made_whole(folder) as made:
                for name, config in configs.items():
                    run = config.run.model_copy(update={"root": folder, "name": name})
                    placed = config.model_copy(update={"run": run})
                    write_text(made / f"{name}.yaml", placed.to_yaml())
                write_json(made / SERIES, {"kind": cls.kind, "members": list(configs), **about})
        except FileExistsError as exc:
            msg = (
                f"The name '{folder.name}' is in use in {folder.parent}. Choose another run.name, or "
                f"continue the existing one: mattertune-nb resume {folder}"
            )
            raise RunError(msg) from exc
        except OSError as exc:
            msg = f"{folder}: cannot be created ({exc.strerror}). Choose another run.root."
            raise RunError(msg) from exc
        return cls(folder)

    def _about(self) -> dict[str, Any]:
        try:
            about = json.loads((self.path / SERIES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    def __repr__(self) -> str:
        state = "training" if self.is_active() else "idle"
        return f"{type(self).__name__}({str(self.path)!r}, {self.progress()}, {state})"

    def names(self) -> list[str]:
        """Return the names of all runs, including future ones."""
        return [str(name) for name in self._about()["members"]]

    def runs(self) -> list[Run]:
        """Return the runs that have started."""
        return [
            Run(self.path / n) for n in self.names() if (self.path / n / "config.yaml").is_file()
        ]

    def n_done(self) -> int:
        """Return the number of runs that have been trained to the end."""
        return sum(_is_done(self.path / name) for name in self.names())

    def progress(self) -> str:
        """Return how many runs are done, e.g. ``"1 of 4 runs"``."""
        return self._progress(self.n_done())

    def _progress(self, done: int) -> str:
        return f"{done} of {len(self.names())} runs"

    def failure(self) -> str | None:
        """Return why the process ended without a run, if it did."""
        if self.is_active() or self.runs() or not (self.path / _CONSOLE).is_file():
            return None
        return f"{self.path}: no run began. {_last_line(self.path / _CONSOLE)}"

    def is_done(self) -> bool:
        """Return whether all runs have been trained to the end."""
        return self.n_done() == len(self.names())

    def is_active(self) -> bool:
        """Return whether a process is training the runs."""
        if self._process is not None:
            self._process.poll()  # a finished child stays a zombie until it is polled
        try:
            noted = json.loads((self.path / _PROCESS).read_text(encoding="utf-8"))
            process = psutil.Process(noted["pid"])
            same = abs(process.create_time() - noted["since"]) < 2
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return False

    def train(self) -> Self:
        """Train the remaining runs in this process, one after the other.

        Return after the run that is asked to stop, e.g. by Ctrl-C.

        Raises
        ------
        RunError
            Another process is training them.
        MatterTuneError
            A run failed; the runs before it are kept.
        """
        from mattertune_nb.training.tuner import MatterTuner

        self._refuse_active()
        self.interrupted_by = None
        (self.path / _STOP).unlink(missing_ok=True)
        self._note_process(os.getpid())
        try:
            for name in self.names():
                place = self.path / name
                if _is_done(place):
                    continue
                if (place / "config.yaml").is_file():
                    result = MatterTuner(Run(place).config()).resume(place)
                else:
                    config = MatterTunerConfig.from_yaml(self.path / f"{name}.yaml")
                    result = MatterTuner(config).tune()
                if not _is_done(place) or (self.path / _STOP).is_file():
                    self.interrupted_by = result.interrupted_by or signal.SIGINT
                    break
            if self.is_done():
                self.interrupted_by = None
                self.after()
        finally:
            (self.path / _PROCESS).unlink(missing_ok=True)
        return self

    def told(self) -> list[str]:
        """Return sentences about the results so far."""
        return [f"{run.name}: {run.verdict()}" for run in self.runs()]

    def after(self) -> None:
        """Handle that all runs are trained; does nothing by default."""

    def start(self) -> Self:
        """Train the remaining runs in a separate process, which continues when this one ends.

        Raises
        ------
        RunError
            Another process is training them.
        """
        self._refuse_active()
        self._process = resume_in_background(self.path, self.path / _CONSOLE)
        self._note_process(self._process.pid)
        return self

    def resume(self) -> Self:
        """Continue where the series was stopped or crashed; the same as :meth:`start`."""
        return self.start()

    def stop(self) -> None:
        """Ask the current run to end at its next step, and start no further ones."""
        (self.path / _STOP).touch()
        for run in self.runs():
            if run.is_active():
                run.stop()

    def wait(self, timeout: float | None = None, poll: float = 0.5) -> bool:
        """Wait until no process trains the runs, and return whether all are done.

        Parameters
        ----------
        timeout
            Maximum number of seconds; by default unlimited.
        poll
            Seconds between two checks.

        Raises
        ------
        RunError
            The process ended without a run; the message gives the reason.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with InCell(self.path.name, "ends the wait, not the runs") as cell:
            while self.is_active() and (end is None or time.monotonic() < end):
                done = self.n_done()
                cell.tell(self._progress(done), done, len(self.names()))
                cell.sleep(poll)
            cell.end(self.progress())
        failure = self.failure()
        if failure is not None:
            raise RunError(failure)
        return self.is_done()

    def dashboard(self) -> Comparison | Message:
        """Return the curves of all runs so far in one view; call it again to update."""
        from mattertune_nb.widgets.live.compare import compare
        from mattertune_nb.widgets.page.picture import Message

        if not self.runs():
            return Message("None of the runs has begun yet. Execute the cell again in a moment.")
        return compare(*self.runs())

    def _note_process(self, pid: int) -> None:
        write_json(self.path / _PROCESS, {"pid": pid, "since": psutil.Process(pid).create_time()})

    def _refuse_active(self) -> None:
        noted = self.path / _PROCESS
        if self.is_active() and json.loads(noted.read_text(encoding="utf-8"))["pid"] != os.getpid():
            msg = f"{self.path}: another process is training it. Stop it first, or wait until it ends."
            raise RunError(msg)


def series_folder(config: MatterTunerConfig, ending: str) -> Path:
    """Return the folder for a series of runs: its name, or backbone, date and kind."""
    root, name = config.run.root, config.run.name
    return root / (name or f"{config.model.name}-{ending}-{time.strftime('%Y%m%d-%H%M%S')}")


def _is_done(place: Path) -> bool:
    """Return whether a run has reached its end, including that of its time limit."""
    if not (place / "config.yaml").is_file():
        return False
    run = Run(place)
    state, most = run.status().state, run.config().trainer.max_seconds
    if state == "stopped" and most is not None:
        return summary_of(run.directory).seconds > 0.9 * most
    return state == "finished"


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
