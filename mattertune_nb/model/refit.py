"""References that follow the weights: refitted to the model being validated and saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from mattertune_nb.config.properties import ENERGY
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.model.energies import TableBuilder
from mattertune_nb.model.loader import as_list, batches_of, graph_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightning.pytorch import LightningModule, Trainer
    from numpy.typing import NDArray

    from mattertune_nb.model.energies import EnergyTable
    from mattertune_nb.model.loader import GraphDataset
    from mattertune_nb.model.potential import Potential

MOST_FRAMES = 256
LEAST_FRAMES = 8
SHARE = 6
"""One in this many training frames is predicted between two validations an epoch apart, and half as many
validation frames judge; an energy without gradients costs about a sixth of a training step, so that both take
less than 5 % of the time."""


class ReferenceRefit(Callback):
    """Refit the reference energies at each validation, to label - prediction of training frames.

    At a high learning rate the zero of energy drifts back and forth with the weights, and a run that ends
    early would keep a constant error unrelated to the quality of the model. New references are kept if they
    lower the error of frames not used in the fit: the other half of the sample (see
    :func:`mattertune_nb.model.references.refit_references`) and validation frames.
    """

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._refit(trainer, cast("Potential", pl_module))

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast("Potential", pl_module).normalization.change = None

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.enable_validation:
            module = cast("Potential", pl_module)
            module.eval()
            self._refit(trainer, module)
            module.normalization.change = None
            module.train()

    def _refit(self, trainer: Trainer, module: Potential) -> None:
        normalization = module.normalization
        if not normalization.refits_energy or ENERGY.name not in module.hparams.property_names:
            return
        dataset = graph_dataset(trainer.train_dataloader)
        chosen = sample_indices(len(dataset), _per_validation(trainer))
        table = _predicted(trainer, module, dataset, chosen)
        if table is None:
            return
        before = table.references

        def helps(references: NDArray[np.float64]) -> bool:
            """Return whether the held-out frames agree, if there are any."""
            held_out = [graph_dataset(loader) for loader in as_list(trainer.val_dataloaders)]
            most = len(chosen) // (2 * max(len(held_out), 1))
            judges = [
                _predicted(trainer, module, frames, sample_indices(len(frames), most=max(most, 1)))
                for frames in held_out
            ]
            seen = [judge for judge in judges if judge is not None]
            return not seen or _error(seen, references) < _error(seen, before)

        normalization.refit_shift(table.counts, table.residuals(before), keep=helps)


def _error(tables: list[EnergyTable], references: NDArray[np.float64]) -> float:
    return sum(len(table.labels) * table.errors(references)[ENERGY.main_metric] for table in tables)


@torch.no_grad()
def _predicted(
    trainer: Trainer, module: Potential, dataset: GraphDataset, chosen: NDArray[np.int64]
) -> EnergyTable | None:
    """Predict the energies of some frames, split between the processes."""
    mine = chosen[trainer.global_rank :: trainer.world_size]
    table = TableBuilder(module.normalization.references)
    for positions in _batches(dataset, mine):
        batch = dataset.batch(mine[positions]).to(module.device)
        with trainer.precision_plugin.forward_context():
            predictions = module.predict_properties(batch, [ENERGY.name])
        table.add(batch, predictions[ENERGY.name])
    return table.build(trainer)


def _batches(dataset: GraphDataset, indices: NDArray[np.int64]) -> Iterable[list[int]]:
    """Return positions in a list of frames, in batches of the same size as in training."""
    if not len(indices):
        return []
    frames = dataset.frames.take(indices)
    settings = replace(frames.loader, shuffle=False)
    return batches_of(frames, settings, num_replicas=1, rank=0)


def _per_validation(trainer: Trainer) -> float:
    """Return the fraction of an epoch between two validations, at most 1."""
    batches = trainer.num_training_batches
    between = trainer.val_check_batch or batches
    return min(between / batches, 1.0) if np.isfinite(between) and np.isfinite(batches) else 1.0


def sample_indices(
    n_frames: int, epochs_between: float = 1.0, *, most: int = MOST_FRAMES
) -> NDArray[np.int64]:
    """Return the frames to predict, spread evenly over the set and the same each time."""
    n = min(max(int(n_frames * epochs_between / SHARE), LEAST_FRAMES), most, n_frames)
    return evenly_spread(n_frames, n)
