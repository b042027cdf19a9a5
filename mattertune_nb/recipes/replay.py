"""Replay: with each batch, also train on structures away from the target, labelled by the original model."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from typing_extensions import override

from mattertune_nb.config.errors import DataError
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.model.loader import graph_dataset
from mattertune_nb.model.property_losses import loss_weight, property_loss
from mattertune_nb.physics.foreign import (
    ForeignSet,
    Predictor,
    made_here,
    of_file,
    target_frames,
    without_shift,
)
from mattertune_nb.recipes.foreign import ForeignCallback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.backbones.graph import Graph, GraphBatch
    from mattertune_nb.model.potential import Potential

log = logging.getLogger(__name__)


class ReplayPenalty:
    """Losses on structures that are drawn anew for each batch.

    Parameters
    ----------
    foreign
        The structures; their energies are the backbone's own, without references.
    backbone
        Builds the graphs.
    share
        Replayed structures per target structure.
    weight
        Weight of their losses relative to those of the target.
    seed
        Seed of the random draw.

    Attributes
    ----------
    moment
        Numbers that determine the draw together with the seed: epoch, batch, process.
    errors
        Mean absolute errors of the last draw: ``energy_per_atom`` in eV/atom, ``forces`` in eV/Å.
    """

    def __init__(
        self, foreign: ForeignSet, backbone: Backbone, share: float, weight: float, seed: int
    ) -> None:
        self._foreign, self._share, self._weight, self._seed = foreign, share, weight, seed
        self._backbone = backbone
        self._graphs: list[Graph] = [backbone.graph(atoms) for atoms in foreign.frames]
        self.moment: tuple[int, ...] = (0, 0, 0)
        self.errors: dict[str, Tensor] = {}

    def draw(self, n_structures: int) -> list[int]:
        """Return the structures drawn for a batch of a given size."""
        n = min(max(round(self._share * n_structures), 1), len(self._foreign))
        rng = np.random.default_rng((self._seed, *self.moment))
        return sorted(rng.choice(len(self._foreign), n, replace=False).tolist())

    def losses(self, module: Potential, n_structures: int) -> dict[str, tuple[Tensor, float]]:
        """Return ``replay_energy`` and ``replay_forces``, as far as the model is trained on them."""
        chosen = self.draw(n_structures)
        batch = self._backbone.collate([self._graphs[i] for i in chosen]).to(module.device)
        labels = self._labels(chosen, module.device)
        learnt = {p.about().name: p for p in module.hparams.properties}
        names = [name for name in labels if name in learnt]
        found = module.predict_properties(batch, names)
        if ENERGY.name in found:
            found[ENERGY.name] = found[ENERGY.name] - _references(module, batch)
        out, self.errors = {}, {}
        for name in names:
            loss, _ = property_loss(module, learnt[name], found[name], labels[name], batch.n_atoms)
            out[f"replay_{name}"] = loss, self._weight * loss_weight(module, learnt[name])
            difference = (found[name] - labels[name].to(found[name].dtype)).detach().abs()
            if name == ENERGY.name:
                self.errors[ENERGY.quantities[0].name] = (difference / batch.n_atoms).mean()
            else:
                self.errors[name] = difference.mean()
        return out

    def _labels(self, chosen: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        forces = np.concatenate([self._foreign.forces[i] for i in chosen])
        return {
            ENERGY.name: torch.from_numpy(self._foreign.energies[list(chosen)]).to(device),
            FORCES.name: torch.from_numpy(forces).to(device),
        }


def _references(module: Potential, batch: GraphBatch) -> Tensor:
    return module.normalization.shift(batch.numbers, batch.batch, len(batch.n_atoms))


def replay_set(module: Potential, target: Sequence[Atoms], file: Path | None) -> ForeignSet:
    """Return structures for replay, with the energies of the backbone itself, without references.

    Parameters
    ----------
    module
        The model before tuning.
    target
        Structures of the target.
    file
        Structures with or without labels; by default they are generated with compositions other than those on
        which :class:`ForeignMonitor` measures.

    Raises
    ------
    DataError
        There are none, or the file cannot be used.
    """
    found = made_here(module, target, for_replay=True) if file is None else of_file(module, file)
    if not len(found):
        elements = ", ".join(module.backbone.elements[:4])
        msg = (
            f"replay: no structures can be generated from the backbone's elements ({elements} …) that the "
            "target does not contain. Give a file (trainer.replay.file), or turn replay off."
        )
        raise DataError(msg)
    energies, _ = Predictor(found.frames, module.backbone)(module)
    counts = module.normalization.references.cpu().numpy()
    own = energies - np.array([counts[atoms.numbers].sum() for atoms in found.frames])
    return replace(found, energies=without_shift(found, own))


class Replay(ForeignCallback):
    """Trains on structures away from the target as well, so that less is forgotten.

    They are labelled by the model at the start of the fit, or by a file. Their losses are those of the
    target's energy and forces, recorded as ``train/replay_energy_loss`` and ``train/replay_forces_loss``;
    their errors are recorded as ``train/replay_forces_mae`` (eV/Å) and ``train/replay_energy_per_atom_mae``
    (eV/atom). Usable under any Trainer.

    Parameters
    ----------
    file
        Structures; by default they are generated.
    share
        Replayed structures per target structure.
    weight
        Weight of their losses relative to those of the target.
    seed
        Seed of the random draw for each batch.
    """

    key = "replay"

    def __init__(
        self, file: Path | None = None, share: float = 0.25, weight: float = 0.25, seed: int = 0
    ) -> None:
        self._file, self._share, self._weight, self._seed = file, share, weight, seed
        self._penalty: ReplayPenalty | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("Potential", pl_module)
        if self.foreign is None:
            frames = target_frames(graph_dataset(trainer.train_dataloader).frames)
            self.foreign = replay_set(module, frames, self._file)
        self._penalty = ReplayPenalty(
            self.foreign, module.backbone, self._share, self._weight, self._seed
        )
        module.penalties["replay"] = self._penalty

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert self._penalty is not None
        self._penalty.moment = trainer.current_epoch, batch_idx, trainer.global_rank

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert self._penalty is not None
        values = {f"train/replay_{name}_mae": v for name, v in self._penalty.errors.items()}
        pl_module.log_dict(values, batch_size=len(batch))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast("Potential", pl_module).penalties.pop("replay", None)
