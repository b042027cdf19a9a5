"""References that follow the weights: fitted again to the model that is measured and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.samplers import FrameBatchSampler
from mattertune_nb.model.energies import TableBuilder
from mattertune_nb.model.loader import graph_dataset

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from numpy.typing import NDArray

    from mattertune_nb.model.energies import EnergyTable
    from mattertune_nb.model.module import FinetuneModuleBase

MOST_FRAMES = 256
LEAST_FRAMES = 8
SHARE = 4
"""One training frame of so many is predicted between two validations an epoch apart: an energy without
gradients costs about a sixth of a training step."""


class ReferenceRefit(Callback):
    """Fit the reference energies again at each validation, to label - prediction of training frames.

    At a high learning rate the weights carry the zero of energy to and fro, and a run that ends early would
    keep a constant error that says nothing of the model. What is validated and kept has references of its
    own; they are kept where they lower the error of frames not fitted on, see
    :func:`mattertune_nb.model.references.refit_references`.
    """

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._refit(trainer, cast("FinetuneModuleBase", pl_module))

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast("FinetuneModuleBase", pl_module).normalization.change = None

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.enable_validation:
            module = cast("FinetuneModuleBase", pl_module)
            module.eval()
            self._refit(trainer, module)
            module.normalization.change = None
            module.train()

    def _refit(self, trainer: Trainer, module: FinetuneModuleBase) -> None:
        normalization = module.normalization
        if not normalization.refits_energy or ENERGY.name not in module.hparams.property_names:
            return
        table = _sample(trainer, module)
        if table is not None:
            normalization.refit_shift(table.counts, table.residuals(table.references))


@torch.no_grad()
def _sample(trainer: Trainer, module: FinetuneModuleBase) -> EnergyTable | None:
    """Predict the energies of a sample of the training set, each process its share."""
    dataset = graph_dataset(trainer.train_dataloader)
    chosen = sample_indices(len(dataset), _per_validation(trainer))
    mine = chosen[trainer.global_rank :: trainer.world_size]
    table = TableBuilder(module.normalization.references)
    settings = dataset.frames.loader
    sampler = FrameBatchSampler(
        len(mine),
        batch_size=settings.batch_size,
        max_atoms=settings.max_atoms,
        n_atoms=None if settings.max_atoms is None else dataset.frames.take(mine).n_atoms(),
        num_replicas=1,
        rank=0,
    )
    for positions in sampler:
        batch = dataset.collate([dataset[int(mine[k])] for k in positions]).to(module.device)
        with trainer.precision_plugin.forward_context():
            predictions = module.predict_properties(batch, [ENERGY.name])
        table.add(batch, predictions[ENERGY.name])
    return table.build(trainer)


def _per_validation(trainer: Trainer) -> float:
    """Return which part of an epoch lies between two validations, one where it is more."""
    batches = trainer.num_training_batches
    between = trainer.val_check_batch or batches
    return min(between / batches, 1.0) if np.isfinite(between) and np.isfinite(batches) else 1.0


def sample_indices(n_frames: int, epochs_between: float = 1.0) -> NDArray[np.int64]:
    """Return which frames are predicted, spread evenly over the set and the same each time."""
    n = min(max(int(n_frames * epochs_between / SHARE), LEAST_FRAMES), MOST_FRAMES, n_frames)
    return np.unique(np.linspace(0, n_frames - 1, n).round().astype(np.int64))
