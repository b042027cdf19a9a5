"""L2-SP: weights are kept near their initial values (Li et al., ICML 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch import Callback
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from mattertune_nb.model.potential import Potential


class DistancePenalty:
    """Half the squared distance between the backbone's weights and reference weights.

    Parameters
    ----------
    name
        Name of the loss.
    start
        The reference weights, by their names in the backbone.
    weight
        Weight of the penalty in the total loss.
    importance
        Factor on the squared distance of each weight, by the same names; by default 1.
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

    def losses(self, module: Potential, n_structures: int) -> dict[str, tuple[Tensor, float]]:
        """Return the penalty under its name; empty if no weights are trained."""
        moved = []
        for name, parameter in module.backbone.named_parameters():
            if parameter.requires_grad and name in self._start:
                squared = (parameter - self._start[name]).square()
                if self._importance is not None:
                    squared = self._importance[name] * squared
                moved.append(squared.sum())
        return {self._name: (torch.stack(moved).sum() / 2, self._weight)} if moved else {}


class L2SP(Callback):
    """Adds a penalty on changes of the backbone's weights since the start of the fit.

    The penalty ½ Σ (w − w₀)² is recorded as ``train/l2_sp_loss``. Usable under any Trainer; weight decay
    towards zero, as in AdamW, works against it.

    Parameters
    ----------
    weight
        Weight of the penalty in the total loss.
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
        module = cast("Potential", pl_module)
        if not self._start:
            self._start = start_of_backbone(module)
        here = {name: tensor.to(module.device) for name, tensor in self._start.items()}
        module.penalties["l2_sp"] = DistancePenalty("l2_sp", here, self._weight)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast("Potential", pl_module).penalties.pop("l2_sp", None)


def start_of_backbone(module: Potential) -> dict[str, Tensor]:
    """Return copies of the trained weights."""
    return {
        name: parameter.detach().clone()
        for name, parameter in module.backbone.named_parameters()
        if parameter.requires_grad
    }
