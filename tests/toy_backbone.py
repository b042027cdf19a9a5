"""A backbone of an outside author, in one file: a Morse potential; and ways to get one wrong."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Literal

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from torch import nn

from mattertune_nb.backbones.backbone import FEATURES, Backbone
from mattertune_nb.backbones.base import BackboneConfig
from mattertune_nb.backbones.graph import neighbor_graph
from mattertune_nb.backbones.trust import TrustingBackboneConfig
from mattertune_nb.config.base import setting

if TYPE_CHECKING:
    from mattertune_nb.backbones.graph import Graph, GraphBatch

CUTOFF = 5.0


def _copied(one: nn.Module, other: Any) -> Any:
    """Give a model the weights of another, and hold those that are held there."""
    other.load_state_dict(one.state_dict())
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        theirs.requires_grad_(mine.requires_grad)
    return other


class MorseBackbone(Backbone):
    """E = Σ_pairs D (exp(-2a(r - r0)) - 2 exp(-a(r - r0))) s(r), half of it for each centre."""

    label = "Morse"
    cutoff = CUTOFF
    elements = ("Cu", "O")

    def __init__(self, fault: str | None) -> None:
        super().__init__()
        self.depth = nn.Parameter(torch.tensor(0.3))
        self.width = nn.Parameter(torch.tensor(1.4))
        self.r0 = nn.Parameter(torch.tensor(2.4))
        self.fault = fault
        if fault in ("an unused parameter", "a parameter without effect"):
            self.unused = nn.Parameter(torch.ones(3))
        self.register_buffer(
            "table", 2 * torch.arange(100)
        )  # of integers, as vendors have of elements
        if fault == "a parameter for angles":
            self.angular = nn.Parameter(torch.ones(3))
        if fault == "a buffer that no checkpoint has":
            self.register_buffer("offset", torch.rand(()), persistent=False)
        if fault == "partly periodic cells are taken":
            self.partly_periodic = False

    def __deepcopy__(self, memo: dict[int, Any]) -> MorseBackbone:
        new = _copied(self, MorseBackbone(self.fault))
        if self.fault == "a copy of its own":
            new.register_buffer("constant", torch.ones(3))
        return new

    def reaches_all(self, batch: GraphBatch) -> bool:
        return self.fault == "a parameter for angles" or super().reaches_all(batch)

    def graph(self, atoms: Atoms) -> Graph:
        if self.fault in ("unknown elements are taken", "partly periodic cells are taken"):
            return neighbor_graph(atoms, self.cutoff)
        return super().graph(atoms)

    def pairs(self, edge_vectors: torch.Tensor) -> torch.Tensor:
        """Return half of the energy of each pair, which its centre has."""
        if self.fault == "float32 inside":
            edge_vectors = edge_vectors.float()
        r = edge_vectors.norm(dim=1)
        if self.fault == "an axis preferred":
            r = r + 0.01 * edge_vectors[:, 2] ** 2
        bond = torch.exp(-self.width * (r - self.r0))
        smooth = (1 - (r / self.cutoff) ** 2).clamp(min=0) ** 3
        pair = self.depth / 2 * (bond**2 - 2 * bond) * smooth
        if self.fault == "no gradient":
            pair = pair.detach() + 0 * edge_vectors.sum()
        if self.fault == "a gradient is not finite":
            pair = pair * torch.where(self.depth > 0, 1, (self.depth - self.depth).sqrt())
        if self.fault == "a parameter without effect":
            pair = pair + 0 * self.unused.sum()
        if self.fault == "a parameter for angles" and len(pair) > 2:
            pair = pair * self.angular.mean()
        return pair

    def atom_energies(self, batch: GraphBatch, edge_vectors: torch.Tensor) -> torch.Tensor:
        pair = self.pairs(edge_vectors)
        return pair.new_zeros(len(batch.numbers)).index_add(0, batch.edge_index[0], pair)

    def energy(self, batch: GraphBatch, edge_vectors: torch.Tensor) -> torch.Tensor:
        pair = self.pairs(edge_vectors)
        centre = batch.edge_index[0]
        energy = pair.new_zeros(len(batch.n_atoms)).index_add(0, batch.batch[centre], pair)
        if self.fault == "the vendor is off":
            energy = energy + 0.01
        if self.fault == "order counts":
            energy = energy + 1e-3 * (batch.numbers[0] - 8)
        if self.fault == "batch leaks":
            energy = energy + 0.01 * (len(energy) - 1)
        if self.fault == "molecules are off":
            energy = energy + 0.05 * (~batch.pbc.any(dim=1)).to(energy)
        if self.fault == "the origin counts":
            energy = energy.index_add(0, batch.batch, 1e-2 * batch.positions[:, 0].to(energy))
        if self.fault == "cells of one atom are off":
            energy = energy * (1 + 0.01 * (batch.n_atoms == 1).to(energy))
        if self.fault == "a buffer that no checkpoint has":
            energy = energy + self.offset
        return energy

    def forward(self, batch: GraphBatch, **wanted: Any) -> dict[str, torch.Tensor]:
        out = super().forward(batch, **wanted)
        if self.fault == "forces have the wrong sign" and "forces" in out:
            out["forces"] = -out["forces"]
        if self.fault == "stress in GPa" and "stresses" in out:
            out["stresses"] = out["stresses"] * 160.2
        if self.fault == "stress for molecules" and "stresses" in out:
            out["stresses"] = out["stresses"].nan_to_num()
            batch.pbc[:] = True
        if self.fault == "another energy in inference mode" and torch.is_inference_mode_enabled():
            out["energy"] = out["energy"] + 0.1
        if self.fault == "another energy each time" and out["energy"].dtype == torch.float32:
            out["energy"] = out["energy"] + 1e-6 * torch.rand(1)
        return out


class MorseCalculator(Calculator):
    """The same on ASE's neighbour list, as a vendor would ship it."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        i, d, vectors = neighbor_list("idD", self.atoms, CUTOFF)
        r = torch.tensor(d, requires_grad=True)
        bond = torch.exp(-1.4 * (r - 2.4))
        energy = (0.15 * (bond**2 - 2 * bond) * (1 - (r / CUTOFF) ** 2) ** 3).sum()
        slope = torch.autograd.grad(energy, r)[0].numpy()
        pair = slope[:, None] * vectors / d[:, None]
        forces = torch.zeros(len(self.atoms), 3, dtype=torch.float64)
        forces.index_add_(0, torch.tensor(i), torch.tensor(2 * pair))
        stress = vectors.T @ pair / self.atoms.cell.volume
        self.results = {
            "energy": float(energy),
            "forces": forces.numpy(),
            "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


class MorseBackboneConfig(BackboneConfig):
    """A Morse potential for copper oxide."""

    name: Literal["morse"] = setting("morse", "Backbone.")
    fault: str | None = setting(None, "What is wrong with it.")

    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        return MorseBackbone(self.fault)

    def vendor_calculator(self) -> Calculator:
        return MorseCalculator()


class HeadedMorseBackbone(MorseBackbone):
    """The same with heads of its own for forces and stress, and two features of each atom."""

    n_features = 2
    has_atom_energies = True

    def __init__(self, fault: str | None) -> None:
        super().__init__(fault)
        self.push = nn.Parameter(torch.tensor(0.1))
        self.pull = nn.Parameter(torch.tensor(0.01))

    def __deepcopy__(self, memo: dict[int, Any]) -> HeadedMorseBackbone:
        return _copied(self, HeadedMorseBackbone(self.fault))

    def outputs(
        self, batch: GraphBatch, edge_vectors: torch.Tensor, heads: Any
    ) -> dict[str, torch.Tensor]:
        out = super().outputs(batch, edge_vectors, heads)
        centre, r = batch.edge_index[0], edge_vectors.norm(dim=1)
        near = torch.exp(-r) * (1 - (r / self.cutoff) ** 2) ** 3
        zeros = near.new_zeros(len(batch.numbers), 3)
        if "forces" in heads:
            out["forces"] = zeros.index_add(0, centre, -self.push * near[:, None] * edge_vectors)
        if "stresses" in heads:
            dyads = edge_vectors[:, [0, 1, 2, 1, 0, 0]] * edge_vectors[:, [0, 1, 2, 2, 2, 1]]
            share = self.pull * near[:, None] * dyads
            out["stresses"] = near.new_zeros(len(batch.n_atoms), 6)
            out["stresses"] = out["stresses"].index_add(0, batch.batch[centre], share)
        if FEATURES in heads:
            pair = torch.stack([self.depth * near, self.width * near**2], dim=1)
            if self.fault == "features that lean on an axis":
                pair = pair + 0.01 * edge_vectors[:, 2:] ** 2
            out[FEATURES] = zeros[:, :2].index_add(0, centre, pair)
        if "energies" in heads:
            out["energies"] = self.atom_energies(batch, edge_vectors)
            if self.fault == "energies of atoms that miss some":
                out["energies"] = 0.9 * out["energies"]
        if self.fault == "heads that see the batch":
            out |= {name: out[name] + len(batch.n_atoms) for name in heads}
        return out


class HeadedMorseBackboneConfig(MorseBackboneConfig):
    """A Morse potential with heads for forces and stress."""

    name: Literal["headed-morse"] = setting("headed-morse", "Backbone.")  # type: ignore[assignment]

    implements = ("energy", "forces", "stresses")

    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        return HeadedMorseBackbone(self.fault)


class PickledMorseBackboneConfig(TrustingBackboneConfig):
    """A Morse potential whose vendor's file is a pickle."""

    name: Literal["pickled-morse"] = setting("pickled-morse", "Backbone.")  # type: ignore[assignment]

    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        if architecture is None:
            file = self.existing_checkpoint()
            self.require_trust(file, "is a pickle, which can run any code")
            architecture = pickle.loads(file.read_bytes())
        backbone = MorseBackbone(None)
        backbone.architecture = architecture
        return backbone

    def vendor_calculator(self) -> Calculator:
        return MorseCalculator()


class PlacedMorseBackbone(MorseBackbone):
    """The same from positions and cells, with a charge, and energies of elements that stay in float64."""

    reads_positions = True
    always_double = ("isolated",)

    def __init__(self, fault: str | None) -> None:
        super().__init__(fault)
        self.frame_inputs = {"charge": 0.0}
        self.register_buffer("isolated", torch.zeros(119, dtype=torch.float64))
        if fault == "positions that no gradient follows":
            self.reads_positions = False

    def __deepcopy__(self, memo: dict[int, Any]) -> PlacedMorseBackbone:
        new = PlacedMorseBackbone(self.fault)
        return _copied(self, new.to(self.depth.dtype))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        if self.fault == "a part that follows the format of the rest":
            return nn.Module._apply(self, fn, recurse)
        return super()._apply(fn, recurse)

    def energy(self, batch: GraphBatch, edge_vectors: torch.Tensor) -> torch.Tensor:
        vectors = batch.edge_vectors(batch.positions, batch.cell).to(edge_vectors)
        energy = super().energy(batch, vectors)
        if self.fault != "a charge without effect":
            energy = energy + 0.01 * batch.extra["charge"].to(energy)
        own = self.isolated[batch.numbers]
        return energy + own.new_zeros(len(energy)).index_add(0, batch.batch, own).to(energy)


class PlacedMorseBackboneConfig(MorseBackboneConfig):
    """A Morse potential of positions, with a charge."""

    name: Literal["placed-morse"] = setting("placed-morse", "Backbone.")  # type: ignore[assignment]

    def create_backbone(self) -> Backbone:
        return PlacedMorseBackbone(self.fault)
