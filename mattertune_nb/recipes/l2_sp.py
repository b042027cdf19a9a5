"""L2-SP: weights are held near those that they began with (Li et al., ICML 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch import Callback
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from mattertune_nb.model.module import FinetuneModuleBase


class L2SPPenalty:
    """Half the squared distance of the backbone's weights to others.

    Parameters
    ----------
    start
        The others, by the names of the backbone.
    weight
        Of the penalty in the total loss.
    """

    def __init__(self, start: Mapping[str, Tensor], weight: float) -> None:
        self._start, self._weight = start, weight

    def losses(
        self, module: FinetuneModuleBase, n_structures: int
    ) -> dict[str, tuple[Tensor, float]]:
        """Return ``l2_sp``."""
        moved = [
            (parameter - self._start[name]).square().sum()
            for name, parameter in module.backbone.named_parameters()
            if parameter.requires_grad and name in self._start
        ]
        return {"l2_sp": (torch.stack(moved).sum() / 2, self._weight)} if moved else {}


class L2SP(Callback):
    """Adds to the loss how far the backbone's weights are from those before the fit.

    The penalty ½ Σ (w − w₀)² is recorded as ``train/l2_sp_loss``. Usable under any Trainer; a decay of
    weights towards zero, as of AdamW, pulls against it.

    Parameters
    ----------
    weight
        Of the penalty in the total loss.
    """

    def __init__(self, weight: float = 1e-3) -> None:
        self._weight = weight
        self._start: dict[str, Tensor] = {}

    @property
    @override
    def state_key(self) -> str:
        return "mattertune_nb.l2_sp"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {name: tensor.cpu() for name, tensor in self._start.items()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._start = dict(state_dict)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("FinetuneModuleBase", pl_module)
        if not self._start:
            self._start = start_of_backbone(module)
        here = {name: tensor.to(module.device) for name, tensor in self._start.items()}
        module.penalties["l2_sp"] = L2SPPenalty(here, self._weight)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast("FinetuneModuleBase", pl_module).penalties.pop("l2_sp", None)


def start_of_backbone(module: FinetuneModuleBase) -> dict[str, Tensor]:
    """Return copies of the weights that are trained."""
    return {
        name: parameter.detach().clone()
        for name, parameter in module.backbone.named_parameters()
        if parameter.requires_grad
    }
