"""PET's own backend on our graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ase.data import chemical_symbols
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.lammps import PairStyle
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.backbones.pet.files import build, save
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


_IN_LAMMPS = {"charge": 0, "spin": 1}


class PETBackbone(MultiHeadBackbone):
    """Adapter of ``PETBackend``; it adds the element energies and the scale stored alongside the model."""

    scale: Tensor  # ()
    isolated: Tensor  # (elements,), eV
    has_atom_energies = True
    reads_positions = True
    always_double = ("scale", "isolated")

    def __init__(
        self,
        recipe: dict[str, Any],
        weights: Mapping[str, Tensor] | None,
        label: str,
        inputs: Mapping[str, float],
    ) -> None:
        super().__init__()
        model = build(recipe)
        self.backend = model.backend
        self.taper = float(model.cutoff_width_adaptive)
        self.architecture = recipe
        self.target = recipe["target"]
        self.label = label
        self.cutoff = float(model.cutoff)
        self.elements = tuple(chemical_symbols[z] for z in recipe["atomic_types"])
        self.n_features = (model.d_node + model.d_pet) * model.num_readout_layers
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("isolated", torch.zeros(len(self.elements), dtype=torch.float64))
        known = self.backend.system_conditioning
        if known is not None:
            self.frame_inputs = dict(inputs)
            self.input_ranges = {
                "charge": (-known.max_charge, known.max_charge),
                "spin": (1, known.max_spin_multiplicity),
            }
        if weights is not None:
            self.load_state_dict(weights)

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        assert self.architecture is not None
        added = torch.from_numpy(references[self.architecture["atomic_types"]])
        isolated = self.isolated.cpu() + added
        save(self.architecture, self.backend.state_dict(), self.scale.cpu(), isolated, path)

    @override
    def save_lammps(self, path: Path, references: NDArray[np.float64]) -> PairStyle:
        other = [f"{k} {v:g}" for k, v in self.frame_inputs.items() if v != _IN_LAMMPS[k]]
        if other:
            msg = (
                "export: LAMMPS tells a PET neither charge nor spin, which are then 0 and 1; "
                f"this model has {', '.join(other)}. Use drive_lammps()."
            )
            raise ConfigError(msg)
        self.save_vendor(path, references)
        exported = f"{path.stem}.metatomic.pt"
        variant = self.target.partition("/")[2]
        return PairStyle(
            f"metatomic {exported}" + (f" variant/energy {variant}" if variant else ""),
            None,
            first=f"mtt export {path.name} -o {exported}",
            by_number=True,
        )

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        dtype = edge_vectors.dtype
        found = self.backend.preprocess(
            batch.positions,
            *batch.edge_index,
            batch.numbers,
            batch.cell,
            batch.cell_shifts,
            batch.batch,
            self.taper,
        )
        # no weights are involved, and differences of positions are taken in float64
        data = {k: v.to(dtype) if v.is_floating_point() else v for k, v in found.items()}
        if self.frame_inputs:
            data["charge"] = batch.extra["charge"].long()
            data["spin_multiplicity"] = batch.extra["spin"].long()
            data["system_indices"] = batch.batch
        nodes, edges = self.backend.calculate_features(data)
        predicted = self.backend.predict(
            nodes, edges, data, batch.cell.to(dtype), batch.batch, [self.target]
        )[0]
        types = data["element_indices_nodes"]
        atoms = predicted[self.target][0].view(-1).double() * self.scale + self.isolated[types]
        energy = atoms.new_zeros(len(batch)).index_add(0, batch.batch, atoms)
        out = {ENERGY.name: energy}
        if FEATURES in heads:
            # as in the vendor's feature output
            seen = (torch.cat(edges, dim=2) * data["cutoff_factors"][:, :, None]).sum(dim=1)
            out[FEATURES] = torch.cat([*nodes, seen], dim=1)
        if ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = atoms
        return out
