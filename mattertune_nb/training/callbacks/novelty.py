"""Once a run: how far the frames of validation and test are from those that it trains on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.model.loader import GraphDataset, as_list, graph_dataset
from mattertune_nb.model.novelty import measure_novelty, too_near
from mattertune_nb.training.records.novelty import write_novelty

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)


class NoveltyRecorder(Callback):
    """Measures the distances to training before the first step, and writes them into the run's directory.

    A run that goes on keeps those that it began with. Whatever goes wrong costs only the distances.

    Parameters
    ----------
    run
        The run's directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # the weights of a run that goes on are tuned
        if not trainer.is_global_zero or trainer.ckpt_path or self._run.distances_file.exists():
            return
        module = cast("FinetuneModuleBase", pl_module)
        try:
            found = measure_novelty(_datasets(trainer, module), module.backbone)
            write_novelty(self._run, found)
        except (MatterTuneError, RuntimeError, OSError) as exc:
            log.warning("Distances to the training frames are not known (%s).", exc)
            return
        near = too_near(found["validation"]) if "validation" in found else None
        if near:
            log.warning("%s%s", near[0].upper(), near[1:])


def _datasets(trainer: Trainer, module: FinetuneModuleBase) -> dict[str, GraphDataset]:
    """Return the data sets of a run; those that the loaders have with the graphs that they keep."""
    found = {"train": graph_dataset(trainer.train_dataloader)}
    for loader in as_list(trainer.val_dataloaders)[:1]:
        found["validation"] = graph_dataset(loader)
    data: Any = getattr(trainer, "datamodule", None)
    for stage, frames in getattr(data, "datasets", {}).items():
        if stage not in found:
            disk = frames.loader.graph_disk_mb
            found[stage] = GraphDataset(frames, module.backbone, disk_mb=disk)
    return found
