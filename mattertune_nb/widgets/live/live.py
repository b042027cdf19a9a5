"""Live curves for a fit in a cell, for any LightningModule."""

from __future__ import annotations

import contextlib
import math
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import psutil
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from mattertune_nb.model.lightning_private import steps_logged
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.recipes.foreign import ForeignMonitor
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.records.reader import RecordReader
from mattertune_nb.training.records.recording import RunLogger
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.runs.kernel import widgets_served
from mattertune_nb.training.runs.run import Run
from mattertune_nb.training.runs.stop import RunStopped
from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.expected import expected_from
from mattertune_nb.widgets.live.notice import Notice
from mattertune_nb.widgets.live.pacing import Pacing
from mattertune_nb.widgets.live.progress import Progress, progress_html
from mattertune_nb.widgets.live.sections import SECTIONS, CurvesSection, Sections
from mattertune_nb.widgets.live.series import CurveData
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end, in_ipython
from mattertune_nb.widgets.page.picture import Pictured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from lightning.pytorch import LightningModule, Trainer
    from matplotlib.figure import Figure

    from mattertune_nb.config.properties import Property
    from mattertune_nb.widgets.live.sections import Section
    from mattertune_nb.widgets.page.export import Table

_SECONDS = 0.25
"""Minimum time between two times when widgets are handled."""

_SHARE = 0.003
"""Fraction of the run's time that updates of the page may take."""

_PLAIN_SHARE = 0.05
"""The same if each update must draw a picture."""


class LiveCurves(Callback):
    """Shows loss, errors, learning rate and progress below the cell in which ``fit`` is running.

    Works for any LightningModule under any Trainer; unknown metrics get their own panels. Interrupting the
    kernel ends the fit at the end of the batch, with the last state saved as ``interrupted.ckpt`` beside the
    Trainer's other checkpoints, and without a traceback.
    """

    shows_progress = True

    def __init__(self) -> None:
        self.view: CurvesView | None = None
        self._records: tempfile.TemporaryDirectory[str] | None = None
        self._handler: Any = None
        self._listening = self._interrupted = self._stopping = False
        self._served, self._heard = contextlib.ExitStack(), 0.0
        self._serve: Callable[[float], None] = time.sleep
        self._pacing: Pacing | None = None
        self._started = 0.0
        self._first_step = 0
        self._max_steps: int | None = None
        self._done = 0
        self._ours = self._shared = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._interrupted = self._stopping = False
        supervised = any(isinstance(c, RunSupervisor) for c in trainer.callbacks)  # type: ignore[attr-defined]
        if (
            stage == "fit"
            and not supervised
            and threading.current_thread() is threading.main_thread()
        ):
            # Lightning would end the cell with SystemExit
            self._listening = True
            before = signal.signal(signal.SIGINT, self._on_interrupt)
            if before != self._on_interrupt:
                self._handler = before

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        logger = next((x for x in trainer.loggers if isinstance(x, RunLogger)), None)
        if logger is None:
            # no run directory: the record goes to a temporary one, but only after ModelCheckpoint has asked
            # the loggers where files go
            self._records = tempfile.TemporaryDirectory(prefix="mattertune_nb-")
            logger = RunLogger(RunDirectory(Path(self._records.name)))
            trainer.loggers = [*trainer.loggers, logger]
        title = type(pl_module).__name__ if self._records else logger.name
        self._ours = isinstance(pl_module, FinetuneModuleBase)
        self._pacing = None
        sections = [] if self._records else [make(Run(logger.save_dir)) for make in SECTIONS]
        data = CurveData(*_monitor(trainer), *_reserved(trainer, pl_module))
        self.view = CurvesView(RunDirectory(logger.save_dir), title, data, sections)
        self.view.update(Progress(title, "starting", trainer.current_epoch, None, 0))
        self.view.show()
        if has_front_end():
            # handles changes of the controls, and requests from a reloaded page
            self._serve = self._served.enter_context(widgets_served())

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._shared = trainer.world_size > 1
        self._started, self._first_step, self._done = time.monotonic(), steps_logged(trainer), 0
        self._max_steps = None
        self._pacing = Pacing(self._started, _SHARE if has_front_end() else _PLAIN_SHARE)
        with contextlib.suppress(MisconfigurationException):
            # not available under a schedule of accumulated batches
            steps = trainer.estimated_stepping_batches
            self._max_steps = int(steps) if 0 < steps < float("inf") else None
        batches = trainer.num_training_batches
        if self.view is not None and batches != float("inf"):
            per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
            self.view.data.steps_per_epoch = per_epoch
        self._obey(trainer)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._done += len(batch) if self._ours else 1
        self._obey(trainer)
        self._listen()
        self._update(trainer)

    @override
    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._listen()

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # a separate validation, after or without a fit, is not part of these curves
        if trainer.state.fn == TrainerFn.FITTING:
            self._update(trainer)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(trainer, "stopped" if self._stopping else "finished")

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        # Lightning calls no teardown after an exception
        self._give_back()
        if trainer.state.fn == TrainerFn.FITTING:
            self._end(trainer, "stopped" if isinstance(exception, RunStopped) else "failed")

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._give_back()

    def _give_back(self) -> None:
        """Return signals and messages to the kernel, as before the fit."""
        self._release_signal()
        self._served.close()
        self._serve = time.sleep

    def _listen(self) -> None:
        """Handle widget messages a few times per second."""
        now = time.monotonic()
        if self._serve is not time.sleep and now - self._heard > _SECONDS:
            self._heard = now
            self._serve(0)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._listening:
            # after an error Lightning restores the handler it found, which was this one
            signal.signal(signal.SIGINT, self._handler)
            signal.raise_signal(signal.SIGINT)
            return
        if self._interrupted:
            # not KeyboardInterrupt, which Lightning turns into SystemExit
            msg = "Interrupted twice: training ended at once, without saving its last state."
            raise RunStopped(msg)
        self._interrupted = True

    def _release_signal(self) -> None:
        if self._listening:
            self._listening = False
            signal.signal(signal.SIGINT, self._handler)

    def _obey(self, trainer: Trainer) -> None:
        """End the fit if an interrupt asked for it, in all processes at the same batch."""
        stop = self._interrupted
        if self._shared:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop and not self._stopping:
            self._stopping = True
            loop = trainer.fit_loop
            # the user's request overrides the minimum number of epochs
            loop.min_epochs, loop.epoch_loop.min_steps = None, None
            trainer.should_stop = True
            checkpoint = trainer.checkpoint_callback
            folder = getattr(checkpoint, "dirpath", None)
            if folder is not None:
                trainer.save_checkpoint(Path(folder) / "interrupted.ckpt", weights_only=False)

    def _end(self, trainer: Trainer, state: str) -> None:
        self._release_signal()
        if self.view is not None:
            self.view.update(self._progress(trainer, state))
            self.view.finish(state)

    def _update(self, trainer: Trainer) -> None:
        start = time.monotonic()
        if self.view is None or self._pacing is None or not self._pacing.is_due(start):
            return
        self.view.update(self._progress(trainer, "running"))
        self._pacing.has_updated(start, time.monotonic())

    def _progress(self, trainer: Trainer, state: str) -> Progress:
        assert self.view is not None
        step = steps_logged(trainer)
        steps = step - self._first_step
        seconds = max(time.monotonic() - self._started, 1e-9)
        left = None if self._max_steps is None or not steps else max(self._max_steps - step, 0)
        max_epochs = trainer.max_epochs if trainer.max_epochs not in (None, -1) else None
        return Progress(
            title=self.view.title,
            state=state,
            epoch=trainer.current_epoch,
            max_epochs=max_epochs,
            step=step,
            max_steps=self._max_steps,
            rate=self._done / seconds if self._done else None,
            rate_unit="structures" if self._ours else "batches",
            eta=None if left is None else seconds * left / steps,
            memory=psutil.Process().memory_info().rss / 1e9,
        )


def _monitor(trainer: Trainer) -> tuple[str | None, str]:
    checkpoint = trainer.checkpoint_callback
    return getattr(checkpoint, "monitor", None), getattr(checkpoint, "mode", "min")


def _reserved(trainer: Trainer, module: LightningModule) -> tuple[list[str], list[Property]]:
    """Return the expected metrics and custom properties, as far as they are known."""
    if not isinstance(module, FinetuneModuleBase):
        return [], []
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return expected_from(module.hparams, any(isinstance(c, ForeignMonitor) for c in callbacks))


class CurvesView(Pictured, W.VBox):  # type: ignore[misc]
    """Header, curves and further sections of a record that is being written.

    Parameters
    ----------
    run
        Where the record is.
    title
        Title in the header.
    data
        Where the record is read into.
    sections
        Sections besides the curves.
    """

    def __init__(
        self, run: RunDirectory, title: str, data: CurveData, sections: Sequence[Section] = ()
    ) -> None:
        enable_colab_widgets()
        self.title, self._ended = title, False
        self.data = data
        self._reader = RecordReader(run)
        self._header = W.HTML()
        self.curves = CurvesSection(data)
        self.sections = Sections([self.curves, *sections])
        self._notice = Notice()
        super().__init__([self._header, self._notice, self.sections.widget])

    def show(self) -> None:
        """Display the view below the cell, if running in one."""
        if has_front_end() or in_ipython():
            self._ipython_display_()

    def update(self, progress: Progress) -> None:
        """Read what is new and show it."""
        records, restarted = self._reader.new_records()
        if restarted:
            self.data.clear()
            self.sections.clear()
        self.data.add(records)
        self._header.value = progress_html(progress)
        if records:
            self.sections.refresh()
        if not has_front_end():
            self.renew_picture()

    def finish(self, state: str) -> None:
        """Report that the fit has ended, and leave the final curves as a picture beside the widget."""
        self._ended = True
        self._notice.tell(self.title, state)
        self.renew_picture()

    def shown(self) -> None:
        """Let the figure take the full width of the cell."""
        self.curves.figure.fit_soon()

    def plain_header(self) -> str:
        """Return the progress of the fit as HTML while it is running."""
        return "" if self._ended else str(self._header.value)

    def draw(self) -> Figure | None:
        """Return the curves as a matplotlib figure."""
        return draw_curves(self.data, scales=self.curves.figure.scales)

    def numbers(self) -> Table | None:
        """Return the points of the curves."""
        return curve_table(self.data)
