"""Live curves for a fit in a cell, of any LightningModule."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import psutil
from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.training.background import RecordReader
from mattertune_nb.training.recording import RunLogger
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.supervisor import RunSupervisor
from mattertune_nb.widgets.curves import CurvesFigure, draw_curves
from mattertune_nb.widgets.picture import (
    Pictured,
    enable_colab_widgets,
    has_front_end,
    only_widgets,
)
from mattertune_nb.widgets.progress import Progress, progress_html
from mattertune_nb.widgets.series import CurveData

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

_SECONDS = 0.25
"""Least time between two updates of the page."""

_PLAIN_SECONDS = 2.0
"""The same where a picture has to be drawn for each."""


class LiveCurves(Callback):
    """Shows loss, errors, learning rate and progress below the cell while ``fit`` runs in it.

    Works for any LightningModule and under any Trainer; metrics that it does not know get panels of
    their own. Interrupting the kernel ends the fit at the end of the batch, with the checkpoint
    saved and no traceback.
    """

    def __init__(self) -> None:
        self.view: CurvesView | None = None
        self._records: tempfile.TemporaryDirectory[str] | None = None
        self._handler: Any = None
        self._updated = 0.0
        self._started = 0.0
        self._first_step = 0
        self._structures = 0

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        logger = next((x for x in trainer.loggers if isinstance(x, RunLogger)), None)
        if logger is None:
            # no run directory: the record goes to a temporary one, and only after ModelCheckpoint
            # has asked the loggers where files go
            self._records = tempfile.TemporaryDirectory(prefix="mattertune_nb-")
            logger = RunLogger(RunDirectory(Path(self._records.name)))
            trainer.loggers = [*trainer.loggers, logger]
        title = type(pl_module).__name__ if self._records else logger.name
        self.view = CurvesView(RunDirectory(logger.save_dir), title)
        self.view.show()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started, self._first_step = time.monotonic(), trainer.global_step
        supervised = any(isinstance(c, RunSupervisor) for c in trainer.callbacks)  # type: ignore[attr-defined]
        if not supervised and threading.current_thread() is threading.main_thread():
            # Lightning would end the cell with SystemExit
            self._handler = signal.signal(signal.SIGINT, lambda *_: _stop(trainer))

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        with contextlib.suppress(TypeError):
            self._structures += len(batch)
        self._update(trainer, "running")

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._update(trainer, "running")

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(trainer, "stopped" if trainer.interrupted else "finished")

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        stopped = type(exception).__name__ == "RunStopped"
        self._end(trainer, "stopped" if stopped else "failed")

    def _end(self, trainer: Trainer, state: str) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None
        self._update(trainer, state, force=True)
        if self.view is not None:
            self.view.finish()

    def _update(self, trainer: Trainer, state: str, *, force: bool = False) -> None:
        now = time.monotonic()
        least = _SECONDS if has_front_end() else _PLAIN_SECONDS
        if self.view is None or not (force or now - self._updated > least):
            return
        self._updated = now
        self.view.update(self._progress(trainer, state))

    def _progress(self, trainer: Trainer, state: str) -> Progress:
        assert self.view is not None
        steps = trainer.estimated_stepping_batches
        max_steps = int(steps) if 0 < steps < float("inf") else None
        done = trainer.global_step - self._first_step
        seconds = max(time.monotonic() - self._started, 1e-9)
        left = None if max_steps is None or not done else max_steps - trainer.global_step
        max_epochs = trainer.max_epochs if trainer.max_epochs not in (None, -1) else None
        return Progress(
            title=self.view.title,
            state=state,
            epoch=trainer.current_epoch,
            max_epochs=max_epochs,
            step=trainer.global_step,
            max_steps=max_steps,
            rate=self._structures / seconds if self._structures else None,
            eta=None if left is None else seconds * left / done,
            memory=psutil.Process().memory_info().rss / 1e9,
        )


class CurvesView(Pictured, W.VBox):  # type: ignore[misc]
    """Header and curves of a record that is being written.

    Parameters
    ----------
    run
        Where the record is.
    title
        What stands in the header.
    """

    def __init__(self, run: RunDirectory, title: str) -> None:
        enable_colab_widgets()
        self.title = title
        self.data = CurveData()
        self._reader = RecordReader(run)
        self._header = W.HTML()
        self.figure = CurvesFigure(self.data)
        super().__init__(only_widgets(self._header, self.figure.widget))

    def show(self) -> None:
        """Display the view below the cell, if this is one."""
        if has_front_end() or _in_ipython():
            self._ipython_display_()

    def update(self, progress: Progress) -> None:
        """Read what is new and show it."""
        records, restarted = self._reader.new_records()
        if restarted:
            self.data.clear()
            self.figure.clear()
        self.data.add(records)
        self._header.value = progress_html(progress)
        if records:
            self.figure.update()
        if not has_front_end():
            self.renew_picture()

    def finish(self) -> None:
        """Leave the final curves as a picture beside the widget."""
        self.renew_picture()

    def plain_header(self) -> str:
        """Return how far the run is, as HTML."""
        return str(self._header.value)

    def picture(self) -> bytes | None:
        """Return the curves as PNG."""
        return draw_curves(self.data)


def _in_ipython() -> bool:
    import sys

    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _stop(trainer: Trainer) -> None:
    trainer.should_stop = True
