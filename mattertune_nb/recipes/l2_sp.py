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


class DistancePenalty:
    """Half the squared distance of the backbone's weights to others.

    Parameters
    ----------
    name
        Of the loss.
    start
        The others, by the names of the backbone.
    weight
        Of the penalty in the total loss.
    importance
        By what the squared distance of each weight is multiplied, by the same names; not given: by 1.
    """

    def __init__(
        self,
        name: str,
        start: Mapping[str, Tensor],
        weight: float,
        importance: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._name, self._start, self._weight = name, start, weight
        self._importance = importance

    def losses(
        self, module: FinetuneModuleBase, n_structures: int
    ) -> dict[str, tuple[Tensor, float]]:
        """Return the penalty under its name; nothing where no weight is trained."""
        moved = []
        for name, parameter in module.backbone.named_parameters():
            if parameter.requires_grad and name in self._start:
                squared = (parameter - self._start[name]).square()
                if self._importance is not None:
                    squared = self._importance[name] * squared
                moved.append(squared.sum())
        return {self._name: (torch.stack(moved).sum() / 2, self._weight)} if moved else {}


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
        module.penalties["l2_sp"] = DistancePenalty("l2_sp", here, self._weight)

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
