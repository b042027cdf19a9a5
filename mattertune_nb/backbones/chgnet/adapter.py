"""CHGNet's own model on our graphs: a whole batch at once, in any dtype, for any periodicity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from ase.data import chemical_symbols
from chgnet.model.functions import GatedMLP
from chgnet.model.layers import AngleUpdate, AtomConv, BondConv
from chgnet.model.model import BatchedGraph, CHGNet
from torch import nn
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.graph import (
    Graph,
    GraphBatch,
    collate_graphs,
    paired_edges,
    pairs_at_one_centre,
)
from mattertune_nb.backbones.lammps import ONLY_FROM_PYTHON
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor

    Part = tuple[Tensor, Tensor | None]


MAGMOMS = "magmoms"
"""The vendor's head for the sizes of magnetic moments, (N,) in μB."""


class CHGNetBackbone(MultiHeadBackbone):
    """Adapter of :class:`chgnet.model.model.CHGNet`.

    The vendor's ``BatchedGraph`` is filled for the whole batch in one go, where the vendor loops
    over structures; message passing and readout are the vendor's ``CHGNet._compute``, its layers
    computed by parts.
    """

    no_lammps = ONLY_FROM_PYTHON

    block_pattern = r"_(?:conv_)?layers\.(\d+)\."

    def __init__(self, model: Any, label: str) -> None:
        super().__init__()
        work_by_parts(model)
        self.model = model
        self.label = label
        self.cutoff = float(model.graph_converter.atom_graph_cutoff)
        self.bond_cutoff = float(model.graph_converter.bond_graph_cutoff)
        self.elements = tuple(chemical_symbols[1:95])
        self.n_features = int(model.model_args["atom_fea_dim"])
        self.has_atom_energies = bool(model.mlp_first)

    @property
    @override
    def graph_kind(self) -> str:
        return f"{super().graph_kind} bond_cutoff={self.bond_cutoff!r}"

    @override
    def graph(self, atoms: Atoms) -> Graph:
        graph = super().graph(atoms)
        edges = graph.edge_index.numpy()
        shifts = graph.cell_shifts.numpy()
        undirected = paired_edges(edges, shifts)
        _, one_directed = np.unique(undirected, return_index=True)
        short = np.flatnonzero(graph.lengths().numpy() < self.bond_cutoff)
        first, second = pairs_at_one_centre(edges[0][short])
        first, second = short[first], short[second]
        graph.extra.update(
            undirected=torch.from_numpy(undirected),
            one_directed=torch.from_numpy(one_directed.astype(np.int64)),
            # centre, first bond undirected and directed, second bond undirected and directed
            angles=torch.from_numpy(
                np.stack(
                    [edges[0][first], undirected[first], first, undirected[second], second], axis=1
                )
            ),
        )
        return graph

    @override
    def collate(self, graphs: Sequence[Graph]) -> GraphBatch:
        return collate_graphs(
            graphs,
            {
                "undirected": "one_directed",
                "one_directed": "edges",
                "angles": ["atoms", "one_directed", "edges", "one_directed", "edges"],
            },
        )

    @override
    def reaches_all(self, batch: GraphBatch) -> bool:
        return len(batch.extra["angles"]) > 0

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        args = self.model.model_args
        model = CHGNet(**args)
        model.load_state_dict(self.model.state_dict())
        elements = model.composition_model.fc.weight
        with torch.no_grad():
            # its columns are the elements from hydrogen on
            elements += torch.from_numpy(references[1 : elements.shape[1] + 1]).to(elements)
        torch.save({"model": model.as_dict()}, path)

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        model = self.model
        graph = self._vendor_graph(batch, edge_vectors)
        computed, last = self._compute(graph, heads)
        energy: Tensor = computed["e"]
        energies = torch.cat(computed.get("site_energies", (energy,)))
        if model.is_intensive:
            energy = energy * batch.n_atoms
        if model.composition_model is not None:
            per_element = model.composition_model.fc.weight[0]
            # under autocast the vendor's energy is in a smaller format than its parameters
            energy = energy.to(per_element.dtype)
            references = per_element[batch.numbers - 1]
            energy = energy.index_add(0, batch.batch, references)
            if ATOM_ENERGIES.name in heads:
                energies = energies.to(per_element.dtype) + references
        out = {ENERGY.name: energy}
        if ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = energies
        if MAGMOMS in heads:
            out[MAGMOMS] = torch.cat(computed["m"])
        if last is not None:
            norm = model.readout_norm
            out[FEATURES] = last if norm is None else norm(last)
        return out

    def _vendor_graph(self, batch: GraphBatch, edge_vectors: Tensor) -> BatchedGraph:
        """Return a batch as the vendor's layers take it."""
        model = self.model
        angles = batch.extra["angles"]
        nowhere = edge_vectors.new_zeros(len(edge_vectors), 0)
        # the vendor's encoder takes centre minus neighbour plus image @ lattice
        bases_ag, bases_bg, directions = model.bond_basis_expansion(
            center=-edge_vectors,
            neighbor=torch.zeros_like(edge_vectors),
            undirected2directed=batch.extra["one_directed"],
            image=nowhere,
            lattice=edge_vectors.new_zeros(0, 3),
        )
        if len(angles):
            angle_bases = model.angle_basis_expansion(
                directions[angles[:, 2]], directions[angles[:, 4]]
            )
        else:
            angle_bases = edge_vectors.new_zeros(0)
        return BatchedGraph(
            atomic_numbers=batch.numbers,
            bond_bases_ag=bases_ag,
            bond_bases_bg=bases_bg,
            angle_bases=angle_bases,
            batched_atom_graph=batch.edge_index.T,
            batched_bond_graph=angles[:, [0, 1, 3]],
            atom_owners=batch.batch,
            directed2undirected=batch.extra["undirected"],
            atom_positions=[],
            strains=[],
            volumes=[],
        )

    def _compute(
        self, graph: BatchedGraph, heads: Collection[str]
    ) -> tuple[dict[str, Any], Tensor | None]:
        """Return what the vendor computes, and the features of the last layer where they are asked for."""
        last: list[Tensor] = []
        hook = None
        if FEATURES in heads:
            # the vendor hands out the features before the last layer only
            layer = self.model.atom_conv_layers[-1]
            hook = layer.register_forward_hook(lambda _module, _given, out: last.append(out))
        try:
            computed: dict[str, Any] = self.model._compute(
                graph,
                compute_magmom=MAGMOMS in heads,
                return_site_energies=ATOM_ENERGIES.name in heads,
            )
        finally:
            if hook is not None:
                hook.remove()
        return computed, last[0] if last else None


def work_by_parts(model: Any) -> None:
    """Turn the layers of CHGNet into ones with the same parameters and results, without wide tensors.

    The vendor gathers features of atoms, bonds and angles, puts them side by side and multiplies by a wide
    matrix. Here the matrix is taken apart: each part is multiplied where it lives, as there are far fewer
    atoms than bonds and fewer bonds than angles, and gathered afterwards. Nor are there the gradients of
    slices that training on forces brings with it: tensors of the full width, almost all of them zeros.
    A model with dropout inside its layers keeps them.
    """
    layers = nn.ModuleList([*model.atom_conv_layers, *model.bond_conv_layers, *model.angle_layers])
    modules = list(layers.modules())
    if not any(isinstance(module, nn.Dropout) and module.p for module in modules):
        for module in modules:
            module.__class__ = _OURS.get(type(module), type(module))
    for last in model.angle_layers[-1:]:
        if isinstance(last, AngleUpdate):
            last.__class__ = UnreadAngleUpdate


class PartGatedMLP(GatedMLP):  # type: ignore[misc]
    """The vendor's gated perceptron; core and gate share their first product."""

    @override
    def forward(self, parts: Sequence[Part]) -> Tensor:
        """Return the messages, (M, features).

        Parameters
        ----------
        parts
            What the vendor would put side by side: features, and the row of them that each message takes,
            (M,); without it, each message takes its own.
        """
        core, gate = (
            [layer for layer in mlp.layers if not isinstance(layer, nn.Dropout)]
            for mlp in (self.mlp_core, self.mlp_gate)
        )
        weights = torch.split(
            torch.cat([core[0].weight, gate[0].weight]),
            [features.shape[1] for features, _ in parts],
            dim=1,
        )
        total = torch.cat([core[0].bias, gate[0].bias])
        for (features, rows), weight in zip(parts, weights, strict=True):
            part = F.linear(features, weight)
            total = total + (part if rows is None else part.index_select(0, rows))
        x, y = total.chunk(2, dim=1)
        for layer in core[1:]:
            x = layer(x)
        for layer in gate[1:]:
            y = layer(y)
        if self.norm is not None:
            x, y = self.bn1(x), self.bn2(y)
        gated: Tensor = self.activation(x) * self.sigmoid(y)
        return gated


class PartAtomConv(AtomConv):  # type: ignore[misc]
    """The vendor's update of atoms; arguments are the vendor's."""

    @override
    def forward(
        self,
        atom_feas: Tensor,
        bond_feas: Tensor,
        bond_weights: Tensor,
        atom_graph: Tensor,
        directed2undirected: Tensor,
    ) -> Tensor:
        centre, neighbor = atom_graph.unbind(1)
        messages = self.twoBody_atom(
            [(atom_feas, centre), (bond_feas, directed2undirected), (atom_feas, neighbor)]
        )
        messages = messages * bond_weights.index_select(0, directed2undirected)
        change = self.mlp_out(_summed(messages, centre, atom_feas))
        return _updated(atom_feas, change, self.atom_norm)


class PartBondConv(BondConv):  # type: ignore[misc]
    """The vendor's update of bonds; arguments are the vendor's."""

    @override
    def forward(
        self,
        atom_feas: Tensor,
        bond_feas: Tensor,
        bond_weights: Tensor,
        angle_feas: Tensor,
        bond_graph: Tensor,
    ) -> Tensor:
        first, second = bond_graph[:, 1], bond_graph[:, 2]
        messages = self.twoBody_bond(_of_angles(atom_feas, bond_feas, angle_feas, bond_graph))
        messages = messages * bond_weights.index_select(0, first)
        messages = messages * bond_weights.index_select(0, second)
        change = self.mlp_out(_summed(messages, first, bond_feas))
        return _updated(bond_feas, change, self.bond_norm)


class PartAngleUpdate(AngleUpdate):  # type: ignore[misc]
    """The vendor's update of angles; arguments are the vendor's."""

    @override
    def forward(
        self, atom_feas: Tensor, bond_feas: Tensor, angle_feas: Tensor, bond_graph: Tensor
    ) -> Tensor:
        change = self.twoBody_bond(_of_angles(atom_feas, bond_feas, angle_feas, bond_graph))
        return _updated(angle_feas, change, self.angle_norm)


class UnreadAngleUpdate(AngleUpdate):  # type: ignore[misc]
    """The last update of angles: the vendor computes it and nothing reads it."""

    @override
    def forward(
        self, atom_feas: Tensor, bond_feas: Tensor, angle_feas: Tensor, bond_graph: Tensor
    ) -> Tensor:
        return angle_feas


_OURS: dict[type, type] = {
    GatedMLP: PartGatedMLP,
    AtomConv: PartAtomConv,
    BondConv: PartBondConv,
    AngleUpdate: PartAngleUpdate,
}


def _of_angles(
    atom_feas: Tensor, bond_feas: Tensor, angle_feas: Tensor, bond_graph: Tensor
) -> list[Part]:
    """Return the parts of an angle's message, in the order of the vendor's matrix."""
    centre, first, second = bond_graph.unbind(1)
    return [(bond_feas, first), (bond_feas, second), (angle_feas, None), (atom_feas, centre)]


def _summed(messages: Tensor, owners: Tensor, features: Tensor) -> Tensor:
    """Return the sum of the messages to each of those that have the features."""
    return messages.new_zeros(len(features), messages.shape[1]).index_add(0, owners, messages)


def _updated(features: Tensor, change: Tensor, norm: nn.Module | None) -> Tensor:
    """Return the features after an update, which each layer of the vendor ends with."""
    new = change + features
    return new if norm is None else norm(new)
