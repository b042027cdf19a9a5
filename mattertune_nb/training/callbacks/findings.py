"""Once a run: what the doctor finds in its data, with what the baseline has predicted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.doctor.baseline import findings_of_run
from mattertune_nb.model.loader import as_list, graph_dataset
from mattertune_nb.training.records.findings import write_findings

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)


class FindingsRecorder(Callback):
    """Lets the doctor look at the frames of a run before its first step; says and writes what it finds.

    A run that goes on keeps what was found when it began. Whatever goes wrong costs only the findings.

    Parameters
    ----------
    run
        The run's directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the baseline is measured when training starts, after the callbacks of the Trainer had their turn
        module = cast("FinetuneModuleBase", pl_module)
        first, module.first_predictions = module.first_predictions, None
        if not trainer.is_global_zero or first is None or self._run.findings_file.exists():
            return
        loaders = as_list(trainer.val_dataloaders)[:1]
        try:
            report = findings_of_run(
                graph_dataset(trainer.train_dataloader).frames,
                graph_dataset(loaders[0]).frames if loaders else None,
                first.found,
            )
            write_findings(self._run, report)
        except Exception as exc:  # no finding is worth a run
            log.warning("The data were not looked at (%s).", exc)
            return
        log.info("The data before training: %s", report.summary())
        for finding in report:
            log.warning("%s", finding)
