"""EWC: weights that matter elsewhere are kept near their old values (Kirkpatrick et al., PNAS 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.model.loader import graph_dataset
from mattertune_nb.physics.foreign import target_frames
from mattertune_nb.recipes.l2_sp import DistancePenalty, start_of_backbone
from mattertune_nb.recipes.replay import replay_set

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.model.potential import Potential

_PROBES = 2
"""Number of random directions in the predictions of each structure."""


def fisher_information(
    module: Potential, frames: Sequence[Atoms], seed: int = 0
) -> dict[str, Tensor]:
    """Return how much predictions depend on each weight: the diagonal of the Fisher information.

    For a normal distribution of unit width around the energy per atom (eV) and each force component (eV/Å),
    it is the mean over structures of the squared gradient of the log density at values drawn from it. With
    the model's own predictions as labels, the gradient of the loss would be zero instead.

    Parameters
    ----------
    module
        The model.
    frames
        Structures.
    seed
        Seed of the random draw.

    Returns
    -------
    dict
        The importance of each trained weight, by its name in the backbone, with the shape of the weight.
    """
    backbone = module.backbone
    own = {name: p for name, p in backbone.named_parameters() if p.requires_grad}
    found = {name: torch.zeros_like(p) for name, p in own.items()}
    rng = np.random.default_rng(seed)
    was_training = backbone.training
    backbone.train()
    try:
        for atoms in frames:
            batch = backbone.collate([backbone.graph(atoms)]).to(module.device)
            for gradients in _of_probes(backbone, batch, list(own.values()), rng):
                for name, gradient in zip(own, gradients, strict=True):
                    found[name] += gradient.square() / (_PROBES * len(frames))
    finally:
        backbone.train(was_training)
    return found


@torch.enable_grad()
def _of_probes(
    backbone: Backbone, batch: GraphBatch, weights: list[Tensor], rng: np.random.Generator
) -> list[tuple[Tensor, ...]]:
    """Return the gradients of a structure's energy and forces along random directions in these."""
    out = backbone(batch)
    forces, energy = out[FORCES.name], out[ENERGY.name].sum() / len(batch.numbers)
    found = []
    for probe in range(_PROBES):
        of_forces = torch.from_numpy(rng.normal(size=tuple(forces.shape))).to(forces)
        drawn = (of_forces * forces).sum() + rng.normal() * energy
        found.append(
            torch.autograd.grad(
                drawn, weights, retain_graph=probe + 1 < _PROBES, materialize_grads=True
            )
        )
    return found


class EWC(Callback):
    """Adds a penalty on changes of the weights, according to their importance for predictions elsewhere.

    The penalty ½ Σ F (w − w₀)², with the Fisher information F on structures away from the target, is recorded
    as ``train/ewc_loss``. Usable under any Trainer.

    Parameters
    ----------
    file
        The structures; by default those generated for :class:`Replay`.
    weight
        Weight of the penalty in the total loss.
    """

    def __init__(self, file: Path | None = None, weight: float = 1.0) -> None:
        self._file, self._weight = file, weight
        self._start: dict[str, Tensor] = {}
        self._fisher: dict[str, Tensor] = {}

    @property
    @override
    def state_key(self) -> str:
        return "mattertune_nb.ewc"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "start": {name: tensor.cpu() for name, tensor in self._start.items()},
            "fisher": {name: tensor.cpu() for name, tensor in self._fisher.items()},
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._start, self._fisher = dict(state_dict["start"]), dict(state_dict["fisher"])

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("Potential", pl_module)
        if not self._start:
            frames = target_frames(graph_dataset(trainer.train_dataloader).frames)
            foreign = replay_set(module, frames, self._file)
            with trainer.precision_plugin.forward_context():
                self._fisher = fisher_information(module, foreign.frames)
            self._start = start_of_backbone(module)
        start, fisher = (
            {name: tensor.to(module.device) for name, tensor in part.items()}
            for part in (self._start, self._fisher)
        )
        module.penalties["ewc"] = DistancePenalty("ewc", start, self._weight, fisher)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast("Potential", pl_module).penalties.pop("ewc", None)
