"""Progress of a fit below the cell that waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.training.amounts import duration
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.runs.stop import RunStopped

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class CellProgress(Callback):
    """Shows epoch, step and time left of a run in one line.

    Parameters
    ----------
    name
        Name of the run.
    """

    def __init__(self, name: str) -> None:
        self._cell = InCell(name)
        self._started = time.monotonic()
        self._first = self._total = 0

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._cell.tell("predictions of the untuned model")

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started, self._first = time.monotonic(), trainer.global_step
        try:
            steps = trainer.estimated_stepping_batches
            self._total = int(steps) if 0 < steps < float("inf") else 0
        except MisconfigurationException:  # not available under a schedule of accumulated batches
            self._total = 0

    @override
    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        step, epochs = trainer.global_step, trainer.max_epochs
        of = f" of {epochs}" if epochs and epochs > 0 else ""
        said = f"epoch {trainer.current_epoch + 1}{of}, step {step}"
        if self._total and step > self._first:
            left = self._total - step
            seconds = (time.monotonic() - self._started) * left / (step - self._first)
            said += f" of {self._total}, {duration(seconds)} left"
        self._cell.tell(said, step, self._total)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        took = duration(time.monotonic() - self._started)
        n = trainer.global_step
        self._cell.end(f"{n} step{'s' * (n != 1)} in {took}")

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        how = "stopped" if isinstance(exception, RunStopped) else "failed"
        self._cell.end(f"{how} at step {trainer.global_step} after {self._cell.seconds}")
