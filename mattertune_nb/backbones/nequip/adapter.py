"""NequIP's and Allegro's own layers on our graphs, up to the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import lightning
import torch
from ase.build import bulk
from ase.data import atomic_numbers, chemical_symbols
from nequip.data import AtomicDataDict as Key
from nequip.utils import get_current_code_versions
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.lammps import PairStyle
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.backbones.nequip.files import MODEL, save_example
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch

_SHIFTS = "per_type_energy_scale_shift.shifts"
_CASTS = ("_output_dtype", "model_dtype")
"""Attributes of layers with the number format they cast to, regardless of that of their weights."""


class NequIPBackbone(MultiHeadBackbone):
    """Adapter of a ``GraphModel``, whose layers are called without the one that differentiates the energy.

    As in the vendor's code, lengths, scales, shifts and energies are in float64 even in a float32 model.
    """

    types: Tensor  # (119,), by atomic number
    has_atom_energies = True

    def __init__(self, model: Any, label: str, recipe: dict[str, Any] | None) -> None:
        super().__init__()
        self.recipe = recipe
        unknown = [name for name in model.type_names if name not in atomic_numbers]
        if unknown:
            msg = f"checkpoint: {label} has atom types that are no elements ({', '.join(unknown)})."
            raise ConfigError(msg)
        self.model = model.model.func
        self.label = label
        self.cutoff = float(model.metadata["r_max"])
        self.elements = tuple(sorted(model.type_names, key=atomic_numbers.__getitem__))
        types = torch.full((len(chemical_symbols),), -1)
        for k, name in enumerate(model.type_names):
            types[atomic_numbers[name]] = k
        self.register_buffer("types", types, persistent=False)
        self.always_double = tuple(
            name
            for name, tensor in (*self.named_parameters(), *self.named_buffers())
            if tensor.dtype == torch.float64 and model.model_dtype != torch.float64
        )
        features = self.model.irreps_out.get(Key.NODE_FEATURES_KEY)
        if features is not None and set(features.ls) == {0}:
            self.n_features = int(features.dim)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        dtype = next(p.dtype for n, p in self.named_parameters() if n not in self.always_double)
        for module in self.modules():
            for name in _CASTS:
                if hasattr(module, name):
                    setattr(module, name, dtype)
        return self

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        if self.recipe is None or self.recipe["_target_"].endswith(".modify"):
            msg = f"{self.label} was made from another model of the vendor's, and cannot be written as one."
            raise ConfigError(msg)
        # one for every element, where the vendor may have a single number or none
        shifts = self.model.state_dict()[_SHIFTS].cpu().double().flatten()
        names = sorted(self.elements, key=lambda name: int(self.types[atomic_numbers[name]]))
        added = torch.from_numpy(references[[atomic_numbers[name] for name in names]])
        shifted = (shifts.sum() if len(shifts) < 2 else shifts) + added
        model = self.recipe | {
            "per_type_energy_shifts": dict(zip(names, shifted.tolist(), strict=True))
        }
        state = {
            f"{MODEL}model.func.{name}": value.detach().cpu()
            for name, value in self.model.state_dict().items()
        }
        state |= {
            f"{MODEL}model.func.{_SHIFTS}": shifted[:, None],
            f"{MODEL}model._empty": torch.Tensor(),
            "run_stage": torch.zeros(1, dtype=torch.long),
        }
        trainer = {"_target_": "nequip.train.NequIPLightningModule", "model": model}
        settings = {
            "model": model,
            "num_datasets": {"train": 1, "val": 0, "test": 0},
            "info_dict": {
                "versions": get_current_code_versions(verbose=False),
                "training_module": trainer,
            },
        }
        torch.save(
            {
                "state_dict": state,
                "hyper_parameters": settings,
                "pytorch-lightning_version": lightning.__version__,
            },
            path,
        )

    @override
    def save_lammps(self, path: Path, references: NDArray[np.float64]) -> PairStyle:
        self.save_vendor(path, references)
        # a compiled model works on one machine only; TorchScript, which worked on any, ended with torch 2.10
        style = "allegro" if "allegro" in str(self.recipe) else "nequip"
        compiled = f"{path.stem}.nequip.pt2"
        # the vendor compiles on a structure, its trainer's; a checkpoint of ours has none
        example = path.with_suffix(".example.pt")
        atoms = bulk("X", "sc", a=0.6 * self.cutoff).repeat(2)
        atoms.symbols = [self.elements[k % len(self.elements)] for k in range(len(atoms))]
        atoms.rattle(0.1, seed=0)
        graph = self.graph(atoms)
        save_example(graph, self.types.cpu()[graph.numbers], example)
        options = f"--mode aotinductor --target pair_{style} --data-path {example.name}"
        return PairStyle(
            style,
            compiled,
            first=f"nequip-compile {path.name} {compiled} {options} --device cuda  # or cpu",
            # required by the one pair style, refused by the other
            before_atoms=("newton on" if style == "allegro" else "newton off",),
        )

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        found = self.model(
            {
                Key.POSITIONS_KEY: batch.positions,
                Key.ATOM_TYPE_KEY: self.types[batch.numbers],
                Key.EDGE_INDEX_KEY: batch.edge_index,
                Key.EDGE_VECTORS_KEY: edge_vectors.double(),
                Key.BATCH_KEY: batch.batch,
                Key.NUM_NODES_KEY: batch.n_atoms,
            }
        )
        out = {ENERGY.name: found[Key.TOTAL_ENERGY_KEY].view(-1)}
        if FEATURES in heads:
            out[FEATURES] = found[Key.NODE_FEATURES_KEY]
        if ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = found[Key.PER_ATOM_ENERGY_KEY].view(-1)
        return out
