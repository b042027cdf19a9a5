"""One job, trained by other hands: a plain PyTorch loop, and the trainers of the vendors.

Each is called with the batches of an epoch, as positions in the training set, trains on them, validates, and
returns the mean absolute error of the validation forces in eV/Å. Graphs are built once, before.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from ase import units
from ase.stress import voigt_6_to_full_3x3_stress
from torch.utils.data import DataLoader

from mattertune_nb.model.loader import GraphDataset

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.data.dataset import AtomsDataset

LR = 1e-4
STRESS_WEIGHT = 0.1
"""Of the squared error in GPa, as in CHGNet's trainer."""

Batches = list[list[int]]


class PlainLoop:
    """What one writes by hand: the same backbone and graphs, nothing recorded or saved."""

    def __init__(
        self, config: BackboneConfig, train: AtomsDataset, validation: AtomsDataset, folder: Path
    ) -> None:
        self.backbone = config.create_backbone()
        self.losses: list[float] = []
        parameters = [p for p in self.backbone.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(parameters, lr=LR)
        labels = dict.fromkeys(("energy", "forces", "stresses"), "error")
        self._train, self._validation = (
            GraphDataset(frames, self.backbone, labels, memory_mb=1000)
            for frames in (train, validation)
        )
        self._batch_size = train.loader.batch_size

    def __call__(self, batches: Batches) -> float:
        self.losses = []
        self.backbone.train()
        for batch in DataLoader(self._train, batch_sampler=batches, collate_fn=self._train.collate):
            self._optimizer.zero_grad()
            loss, _ = self._loss(batch)
            loss.backward()
            self._optimizer.step()
            self.losses.append(loss.item())
        self.backbone.eval()
        errors = []
        for batch in DataLoader(
            self._validation, self._batch_size, collate_fn=self._validation.collate
        ):
            _, out = self._loss(batch)
            errors.append((out["forces"] - batch.labels["forces"]).abs().flatten())
        return float(torch.cat(errors).mean())

    def _loss(self, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        out = self.backbone(batch, forces=True, stress=True)
        labels = batch.labels
        energy = F.mse_loss(
            out["energy"].double() / batch.n_atoms, labels["energy"] / batch.n_atoms
        )
        forces = F.mse_loss(out["forces"], labels["forces"].float())
        stress = F.mse_loss(out["stresses"], labels["stresses"].float())
        return energy + forces + STRESS_WEIGHT / units.GPa**2 * stress, out


class CHGNetTrainer:
    """:class:`chgnet.trainer.Trainer`, with a checkpoint an epoch as it writes them."""

    def __init__(
        self, config: BackboneConfig, train: AtomsDataset, validation: AtomsDataset, folder: Path
    ) -> None:
        from chgnet.model.model import CHGNet
        from chgnet.trainer import Trainer

        with contextlib.redirect_stdout(io.StringIO()):
            model = CHGNet.load(use_device="cpu", verbose=False)
        self._train, self._validation = (
            [self._sample(model, frames, i) for i in range(len(frames))]
            for frames in (train, validation)
        )
        self._batch_size = train.loader.batch_size
        self._folder = folder / "chgnet"
        self._trainer = Trainer(
            model=model,
            targets="efs",
            criterion="MSE",
            stress_loss_ratio=STRESS_WEIGHT,
            optimizer="AdamW",
            learning_rate=LR,
            scheduler="ExponentialLR",
            scheduler_params={"gamma": 1.0},
            use_device="cpu",
            epochs=0,
        )

    @staticmethod
    def _sample(model: Any, frames: AtomsDataset, i: int) -> tuple[Any, dict[str, torch.Tensor]]:
        from pymatgen.io.ase import AseAtomsAdaptor

        labels = frames.labels(i)
        targets = {
            "e": labels["energy"] / len(frames[i]),
            "f": labels["forces"],
            "s": voigt_6_to_full_3x3_stress(labels["stresses"]) / units.GPa,
        }
        graph = model.graph_converter(AseAtomsAdaptor.get_structure(frames[i]))
        return graph, {k: torch.tensor(v, dtype=torch.float32) for k, v in targets.items()}

    def __call__(self, batches: Batches) -> float:
        from chgnet.data.dataset import collate_graphs

        self._trainer.starting_epoch = self._trainer.epochs
        self._trainer.epochs += 1
        with contextlib.redirect_stdout(io.StringIO()):
            self._trainer.train(
                DataLoader(self._train, batch_sampler=batches, collate_fn=collate_graphs),
                DataLoader(self._validation, self._batch_size, collate_fn=collate_graphs),
                save_dir=str(self._folder),
                train_composition_model=True,
            )
        return float(self._trainer.training_history["f"]["val"][-1])


class SevenNetTrainer:
    """:class:`sevenn.train.trainer.Trainer`, driven as ``sevenn train`` does, with a checkpoint an epoch."""

    def __init__(
        self, config: BackboneConfig, train: AtomsDataset, validation: AtomsDataset, folder: Path
    ) -> None:
        from sevenn.error_recorder import ErrorRecorder
        from sevenn.train.loss import get_loss_functions_from_config
        from sevenn.train.trainer import Trainer
        from sevenn.util import load_checkpoint

        with contextlib.redirect_stderr(io.StringIO()):
            model = load_checkpoint("7net-0").build_model()
        self._train, self._validation = (
            [self._sample(model.cutoff, frames, i) for i in range(len(frames))]
            for frames in (train, validation)
        )
        self._batch_size = train.loader.batch_size
        self._checkpoint = str(folder / "sevennet.pth")
        settings: dict[str, Any] = {
            "loss": "mse",
            "force_loss_weight": 1.0,
            "stress_loss_weight": STRESS_WEIGHT / 10**2,  # of the squared error in kbar
            "is_train_stress": True,
            "error_record": [
                ["Energy", "MAE"],
                ["Force", "MAE"],
                ["Stress", "MAE"],
                ["TotalLoss", "None"],
            ],
        }
        losses = get_loss_functions_from_config(settings)
        self._trainer = Trainer(model, losses, torch.optim.AdamW, {"lr": LR}, device="cpu")
        self._errors = [ErrorRecorder.from_config(settings, losses) for _ in range(2)]

    @staticmethod
    def _sample(cutoff: float, frames: AtomsDataset, i: int) -> Any:
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import atoms_to_graph

        labels = frames.labels(i)
        atoms: Atoms = frames[i]
        atoms.info = {
            "y_energy": labels["energy"],
            "y_stress": _sevennet_stress(labels["stresses"]),
        }
        atoms.arrays["y_force"] = labels["forces"]
        return AtomGraphData.from_numpy_dict(atoms_to_graph(atoms, cutoff, transfer_info=False))

    def __call__(self, batches: Batches) -> float:
        from torch_geometric.loader import DataLoader as GeometricLoader

        train, validation = self._errors
        self._trainer.run_one_epoch(
            GeometricLoader(self._train, batch_sampler=batches), is_train=True, error_recorder=train
        )
        self._trainer.run_one_epoch(
            GeometricLoader(self._validation, self._batch_size), error_recorder=validation
        )
        train.epoch_forward()
        self._trainer.write_checkpoint(self._checkpoint)
        return float(
            next(v for k, v in validation.epoch_forward().items() if k.startswith("Force"))
        )


def _sevennet_stress(voigt: np.ndarray) -> np.ndarray:
    """Return a stress in SevenNet's order, xx, yy, zz, xy, yz, zx, with its sign, which is not ASE's."""
    return -np.asarray(voigt)[[0, 1, 2, 5, 3, 4]]
