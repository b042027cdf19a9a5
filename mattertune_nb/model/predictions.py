"""Batched predictions, one structure at a time, in the order of the data."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.model.lightning_private import predicted_batches
from mattertune_nb.model.loader import as_list, check_processes
from mattertune_nb.model.processes import gathered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import Property, PropertyName


INDEX = "index"
"""Key under which a prediction stores the index of its structure in the data."""


class OrderedPredictions(Callback):
    """Let ``Trainer.predict`` return the predictions of all processes, in the order of the data.

    Results of a user's own ``predict_step`` are left unchanged.
    """

    @override
    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for loader in as_list(trainer.predict_dataloaders):
            check_processes(loader, trainer.world_size)

    @override
    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size == 1:
            return
        for batches in predicted_batches(trainer):
            found = list(chain.from_iterable(gathered(trainer, batches)))
            if all(isinstance(batch, list) and batch and INDEX in batch[0] for batch in found):
                batches[:] = sorted(found, key=lambda batch: batch[0][INDEX])


def split_predictions(
    predictions: dict[str, Tensor], batch: GraphBatch, properties: Mapping[PropertyName, Property]
) -> list[dict[str, Any]]:
    """Split batched predictions into one dict per structure.

    Parameters
    ----------
    predictions
        By name, as :meth:`FinetuneModuleBase.forward` returns them.
    batch
        The structures.
    properties
        Description of each predicted property, by name.

    Returns
    -------
    list
        ``{"energy": float, "forces": (n, 3), "stresses": (6,)}`` in eV, eV/Å and eV/Å³; the stress
        is left out unless all three directions are periodic.
    """
    n_atoms = batch.n_atoms.tolist()
    out: list[dict[str, Any]] = [{} for _ in n_atoms]
    periodic, always = batch.pbc.all(dim=1).tolist(), [True] * len(n_atoms)
    for name, values in predictions.items():
        prop = properties[name]
        array = values.detach().double().cpu()
        parts = torch.split(array, n_atoms) if prop.of_atoms else array
        for result, part, has_meaning in zip(
            out, parts, periodic if prop.needs_periodicity else always, strict=True
        ):
            if has_meaning:
                result[name] = float(part) if prop.kind == "structure" else part.numpy()
    return out
