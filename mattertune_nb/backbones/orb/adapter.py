"""ORB's own modules on our graphs: the energy, and heads for forces and stress if a model has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from ase.data import chemical_symbols
from orb_models.forcefield.atomic_system import SystemConfig
from orb_models.forcefield.base import AtomGraphs
from orb_models.forcefield.calculator import ORBCalculator
from orb_models.forcefield.load import load_forcefield_state_dict, replace_prefix
from orb_models.forcefield.pretrained import (
    orb_v2_architecture,
    orb_v3_conservative_architecture,
    orb_v3_direct_architecture,
)
from torch import nn
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.lammps import ONLY_FROM_PYTHON
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch

RADIUS = 6.0
"""Cutoff of all of the vendor's models in Å, hard-coded there."""

_ELEMENTS = tuple(s for z, s in enumerate(chemical_symbols[:95]) if z not in {0, *range(84, 89)})
_HEADS = {FORCES.name: "forces", STRESSES.name: "stress"}
_REFERENCES = "heads.energy.reference.linear.weight"
"""The vendor's energies of the elements, by atomic number."""

_MAKE = {
    "v2": orb_v2_architecture,
    "v3": orb_v3_conservative_architecture,
    "v3 direct": orb_v3_direct_architecture,
}


class ORBBackbone(MultiHeadBackbone):
    """Adapter of the vendor's ``ConservativeForcefieldRegressor`` and ``DirectForcefieldRegressor``.

    There are no energies of atoms: its head predicts the energy of a structure from the mean of the features.
    """

    no_lammps = ONLY_FROM_PYTHON

    elements = _ELEMENTS
    partly_periodic = False

    def __init__(
        self, model: Any, architecture: dict[str, Any], label: str, inputs: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.model = model
        self.label = label
        self.architecture = architecture
        self.cutoff = float(model.system_config.radius)
        self.max_neighbors = int(model.system_config.max_num_neighbors)
        self.n_features = int(model.heads["energy"].mlp[0].in_features)
        self.missing_heads = tuple(p for p, name in _HEADS.items() if name not in model.heads)
        if model.model.conditioner is not None:
            self.frame_inputs = dict(inputs)

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        state = {name: value.detach().cpu() for name, value in self.model.state_dict().items()}
        before = state[_REFERENCES]
        added = torch.from_numpy(references[: before.numel()]).view_as(before)
        state[_REFERENCES] = (before.double() + added).to(before.dtype)
        torch.save(state, path)

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        model, graphs = self.model, self._graphs(batch, edge_vectors)
        features = model.model(graphs)["node_features"]
        head = model.heads["energy"]
        energy = head.denormalize(head(features, graphs), graphs)
        repulsion = model.pair_repulsion_fn(graphs) if model.pair_repulsion else {}
        out = {ENERGY.name: (energy + repulsion.get("energy", 0.0)).view(-1)}
        for name, vendors in _HEADS.items():
            if name in heads:
                direct = model.heads[vendors].predict(features, graphs)
                out[name] = direct + repulsion.get(vendors, 0.0)
        if STRESSES.name in out:
            periodic = batch.pbc.all(dim=1)[:, None]
            out[STRESSES.name] = torch.where(periodic, out[STRESSES.name].view(-1, 6), torch.nan)
        if FEATURES in heads:
            out[FEATURES] = features
        return out

    def _graphs(self, batch: GraphBatch, edge_vectors: Tensor) -> AtomGraphs:
        """Return the batch in the vendor's form; the sender of an edge is its centre."""
        dtype = edge_vectors.dtype
        sent = torch.bincount(batch.batch[batch.edge_index[0]], minlength=len(batch))
        system = {"cell": batch.cell.to(dtype), "pbc": batch.pbc}
        system |= {f"total_{name}": batch.extra[name].to(dtype) for name in self.frame_inputs}
        return AtomGraphs(
            senders=batch.edge_index[0],
            receivers=batch.edge_index[1],
            n_node=batch.n_atoms,
            n_edge=sent,
            node_features={
                "positions": batch.positions.to(dtype),
                "atomic_numbers": batch.numbers,
                "atomic_numbers_embedding": nn.functional.one_hot(batch.numbers, 118).to(dtype),
            },
            edge_features={"vectors": edge_vectors},
            system_features=system,
            node_targets=None,
            edge_targets=None,
            system_targets=None,
            system_id=None,
            fix_atoms=None,
            tags=None,
            radius=self.cutoff,
            max_num_neighbors=torch.tensor([self.max_neighbors]),
        )


class Calculator(ORBCalculator):  # type: ignore[misc]
    """The vendor's calculator; structures without charge and spin get those of the config."""

    inputs: Mapping[str, float]

    @override
    def calculate(self, atoms: Atoms, *args: Any, **kwargs: Any) -> None:
        atoms = atoms.copy()
        atoms.info = {**self.inputs, **atoms.info}
        super().calculate(atoms, *args, **kwargs)


def architecture_of(state: dict[str, Tensor], max_neighbors: int) -> dict[str, Any]:
    """Return the architecture of the model, derived from the names and shapes of its weights.

    Raises
    ------
    ConfigError
        The weights have no head for the energy.
    """
    state = dict(state)
    # as the vendor reads weights of its second version
    for old, new in (
        ("graph_head.", "energy."),
        ("node_head.", "forces."),
        ("stress_head.", "stress."),
    ):
        replace_prefix(state, old, f"heads.{new}")
    if "heads.energy.mlp.NN-0.weight" not in state:
        msg = "it has no head for the energy."
        raise ConfigError(msg)
    steps = {int(n) for key in state for n in re.findall(r"^model\.gnn_stacks\.(\d+)\.", key)}
    settings: dict[str, Any] = {"num_message_passing_steps": len(steps)}
    version = "v2"
    if "model.rbf_transform.bessel_weights" in state:
        version = "v3 direct" if "heads.forces.mlp.NN-0.weight" in state else "v3"
        base, head = "model._encoder._node_fn.mlp", "heads.energy.mlp"
        is_charged = any(key.startswith("model.conditioner.") for key in state)
        settings |= {
            "latent_dim": state[f"{head}.NN-0.weight"].shape[1],
            "base_mlp_hidden_dim": len(state[f"{base}.NN-0.weight"]),
            "base_mlp_depth": _depth(state, base),
            "head_mlp_hidden_dim": len(state[f"{head}.NN-0.weight"]),
            "head_mlp_depth": _depth(state, head),
            "has_charge_spin_cond": is_charged,
            "has_stress": "heads.stress.mlp.NN-0.weight" in state or version == "v3",
        }
    return {"version": version, "settings": settings, "max_neighbors": max_neighbors}


def _depth(state: Mapping[str, Tensor], mlp: str) -> int:
    return sum(key.startswith(f"{mlp}.NN-") and key.endswith(".weight") for key in state) - 1


def build(architecture: Mapping[str, Any], state: Mapping[str, Tensor] | None = None) -> Any:
    """Return the vendor's model, with its weights if given; no part of it is compiled or frozen."""
    system = SystemConfig(radius=RADIUS, max_num_neighbors=architecture["max_neighbors"])
    make: Any = _MAKE[architecture["version"]]
    model = make(device="cpu", system_config=system, **architecture["settings"])
    if state is not None:
        load_forcefield_state_dict(model, state, strict=True)
    return model
