"""Once per run: the doctor's findings, and the distances of validation and test data from training."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.doctor.baseline import findings_of_run
from mattertune_nb.model.loader import GraphDataset, as_list, graph_dataset
from mattertune_nb.model.novelty import measure_novelty, too_near
from mattertune_nb.training.records.findings import write_findings
from mattertune_nb.training.records.novelty import write_novelty

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)


class FirstLook(Callback):
    """Checks the data of a run before its first step; reports and stores the findings.

    A resumed run keeps the original findings. If a check fails, only its own result is missing.

    Parameters
    ----------
    run
        The run's directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the baseline is measured when training starts, after the Trainer's own callbacks
        module = cast("FinetuneModuleBase", pl_module)
        first, module.first_predictions = module.first_predictions, None
        if not trainer.is_global_zero:
            return
        # the weights of a resumed run are tuned
        is_untuned = trainer.global_step == 0 and not trainer.ckpt_path
        if is_untuned and not self._run.distances_file.exists():
            _try(
                "Distances to the training frames are not known",
                lambda: self._measure_distances(trainer, module),
            )
        if first is not None and not self._run.findings_file.exists():
            predictions = first.found
            _try("The data were not looked at", lambda: self._ask_doctor(trainer, predictions))

    def _measure_distances(self, trainer: Trainer, module: FinetuneModuleBase) -> None:
        found = measure_novelty(_datasets(trainer, module), module.backbone)
        write_novelty(self._run, found)
        near = too_near(found["validation"]) if "validation" in found else None
        if near:
            log.warning("%s%s", near[0].upper(), near[1:])

    def _ask_doctor(self, trainer: Trainer, predictions: Any) -> None:
        loaders = as_list(trainer.val_dataloaders)[:1]
        report = findings_of_run(
            graph_dataset(trainer.train_dataloader).frames,
            graph_dataset(loaders[0]).frames if loaders else None,
            predictions,
        )
        write_findings(self._run, report)
        log.info("The data before training: %s", report.summary())
        for finding in report:
            log.warning("%s", finding)


def _try(failure: str, look: Callable[[], None]) -> None:
    try:
        look()
    except Exception as exc:  # a failed check must not end the run
        log.warning("%s (%s).", failure, exc)


def _datasets(trainer: Trainer, module: FinetuneModuleBase) -> dict[str, GraphDataset]:
    """Return the data sets of a run; those of the loaders include the graphs they keep."""
    found = {"train": graph_dataset(trainer.train_dataloader)}
    for loader in as_list(trainer.val_dataloaders)[:1]:
        found["validation"] = graph_dataset(loader)
    data: Any = getattr(trainer, "datamodule", None)
    for stage, frames in getattr(data, "datasets", {}).items():
        if stage not in found:
            disk = frames.loader.graph_disk_mb
            found[stage] = GraphDataset(frames, module.backbone, disk_mb=disk)
    return found
