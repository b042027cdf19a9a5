"""Changes on structures away from the target, written into the directory of a run."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from typing_extensions import override

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.recipes.foreign import ForeignMonitor
from mattertune_nb.training.records.foreign import ForeignRecord, write_foreign

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.recipes.budget import Budget
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)


class ForeignRecorder(ForeignMonitor):
    """Records what :class:`ForeignMonitor` measures, and measures the best weights at the end.

    Parameters
    ----------
    run
        The run's directory.
    file
        As for :class:`ForeignMonitor`.
    budget
        The time that it may take, shared with others.
    """

    def __init__(self, run: RunDirectory, file: Path | None, budget: Budget) -> None:
        super().__init__(file, budget)
        self._run = run

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if trainer.is_global_zero and not trainer.ckpt_path:
            self._write(is_best=False)

    @override
    def on_measured(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            self._write(is_best=False)

    def measure_best(self, model: FinetuneModuleBase) -> None:
        """Measure the weights that a run has kept; a failure costs only this measurement."""
        try:
            best = self._run.best_metrics()
            if best and self.measure(model, best["epoch"], best["step"]) is not None:
                self._write(is_best=True)
        except (MatterTuneError, RuntimeError) as exc:
            log.warning("Changes on other structures are not known (%s)", exc)

    def _write(self, *, is_best: bool) -> None:
        if self.foreign is None or not len(self.foreign):
            return
        last = self.last
        record = ForeignRecord(
            self.foreign.source,
            dict(Counter(self.foreign.kinds)),
            asdict(self.foreign.untuned),
            None if last is None else asdict(last.errors),
            None if last is None else {kind: asdict(e) for kind, e in last.by_kind.items()},
            0 if last is None else last.epoch,
            is_best,
        )
        with contextlib.suppress(OSError):
            write_foreign(self._run, record)
