"""Pair energies before, during and after training, written into the directory of a run."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from typing_extensions import override

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.recipes.walls import WallMonitor
from mattertune_nb.training.records.walls import WallRecord, write_walls

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.recipes.budget import Budget
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)


class WallRecorder(WallMonitor):
    """Records what :class:`WallMonitor` computes, for the best weights of a run in place of the last.

    Parameters
    ----------
    run
        The run's directory.
    budget
        The time that it may take, shared with others.
    """

    def __init__(self, run: RunDirectory, budget: Budget) -> None:
        super().__init__(budget)
        self._run, self._epoch = run, 0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if trainer.is_global_zero and not trainer.ckpt_path:
            self._write(is_best=False)

    @override
    def on_measured(self, trainer: Trainer) -> None:
        self._epoch = trainer.current_epoch
        if trainer.is_global_zero:
            self._write(is_best=False)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the best weights."""

    def measure_best(self, model: FinetuneModuleBase) -> None:
        """Compute the pair energies of the weights that a run has kept; a failure costs only these."""
        if not self._run.best.is_file():
            return
        try:
            self.compare(model)
        except (MatterTuneError, RuntimeError) as exc:
            log.warning("Short-range repulsion could not be checked (%s)", exc)
        else:
            # of a backbone without an entry point, a run's own settings cannot be read again
            with contextlib.suppress(MatterTuneError):
                self._epoch = self._run.best_metrics().get("epoch", self._epoch)
            self._write(is_best=self.tuned is not None)

    def _write(self, *, is_best: bool) -> None:
        if self.untuned is not None:
            with contextlib.suppress(OSError):
                record = WallRecord(self.untuned, self.tuned, is_best, self._epoch)
                write_walls(self._run, record)
