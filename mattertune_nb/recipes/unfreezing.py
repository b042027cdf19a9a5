"""Gradual unfreezing: from the readout back to the embeddings, one interaction block after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.model.depth import depths

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from torch import nn
    from torch.optim import Optimizer

    from mattertune_nb.model.module import FinetuneModuleBase


class GradualUnfreezing(Callback):
    """Trains the readout first, and unfreezes one interaction block after the other, the last one first.

    Frozen weights get no steps and no decay (Howard and Ruder, ACL 2018). Which blocks are trained depends
    only on the epoch. Usable under any Trainer.

    Parameters
    ----------
    epochs
        Epochs until the next block is trained as well, from the last to the first; the embeddings are
        unfrozen with the first block.
    """

    def __init__(self, epochs: int = 1) -> None:
        self._epochs = epochs
        self._depths: dict[nn.Parameter, int] = {}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        backbone = cast("FinetuneModuleBase", pl_module).backbone
        found = depths(backbone, "unfreezing")
        self._depths = {p: found[name] for name, p in backbone.named_parameters()}

    def shallowest(self, epoch: int) -> int:
        """Return the smallest depth that is trained.

        Parameters
        ----------
        epoch
            Epoch, counted from 0.
        """
        shallowest = max(self._depths.values()) - epoch // self._epochs
        return 0 if shallowest <= 1 else shallowest

    @override
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        shallowest = self.shallowest(trainer.current_epoch)
        for parameter, depth in self._depths.items():
            if depth < shallowest:
                # without a gradient an optimizer leaves it alone; distributed training expects a gradient for
                # each
                parameter.grad = None
