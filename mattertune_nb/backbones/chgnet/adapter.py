"""CHGNet's own model on our graphs: whole batches at once, in any dtype and with any periodicity."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import chemical_symbols
from chgnet.model.model import BatchedGraph, CHGNet
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.chgnet.parts import work_by_parts
from mattertune_nb.backbones.graph import (
    Graph,
    GraphBatch,
    collate_graphs,
    paired_edges,
    pairs_at_one_centre,
)
from mattertune_nb.backbones.guard import quiet
from mattertune_nb.backbones.lammps import ONLY_FROM_PYTHON
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor

    Inputs = dict[str, Tensor]


MAGMOMS = "magmoms"
"""The vendor's head for the magnitudes of magnetic moments, (N,) in μB."""


class CHGNetBackbone(MultiHeadBackbone):
    """Adapter of :class:`chgnet.model.model.CHGNet`.

    The vendor's ``BatchedGraph`` is filled for the whole batch at once, where the vendor loops over
    structures; message passing and readout follow the vendor's ``CHGNet._compute``, with its layers
    computed in parts.
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
        with quiet():
            model = CHGNet(**args)
        model.load_state_dict(self.model.state_dict())
        elements = model.composition_model.fc.weight
        with torch.no_grad():
            # its columns are the elements, starting with hydrogen
            elements += torch.from_numpy(references[1 : elements.shape[1] + 1]).to(elements)
        torch.save({"model": model.as_dict()}, path)

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        return self.before_last_block(batch, edge_vectors, heads)()

    @override
    def before_last_block(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> Callable[[], dict[str, Tensor]]:
        graph = self._vendor_graph(batch, edge_vectors)
        return partial(self._last_block, batch, before_last(self.model, graph), heads)

    def _last_block(
        self, batch: GraphBatch, given: Inputs, heads: Collection[str]
    ) -> dict[str, Tensor]:
        model = self.model
        features = model.atom_conv_layers[-1](**given)
        if model.readout_norm is not None:
            features = model.readout_norm(features)
        energy, energies = energies_of(model, features, batch)
        if model.composition_model is not None:
            per_element = model.composition_model.fc.weight[0]
            # under autocast the vendor's energy has lower precision than its parameters
            energy = energy.to(per_element.dtype)
            references = per_element[batch.numbers - 1]
            energy = energy.index_add(0, batch.batch, references)
            if energies is not None:
                energies = energies.to(per_element.dtype) + references
        out = {ENERGY.name: energy}
        if energies is not None and ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = energies
        if MAGMOMS in heads:
            out[MAGMOMS] = torch.abs(model.site_wise(given["atom_feas"])).view(-1)
        if FEATURES in heads:
            out[FEATURES] = features
        return out

    def _vendor_graph(self, batch: GraphBatch, edge_vectors: Tensor) -> BatchedGraph:
        """Return a batch in the form the vendor's layers expect."""
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


def before_last(model: Any, graph: BatchedGraph) -> Inputs:
    """Return the input of the vendor's last atom update; up to there, this follows its ``_compute``."""
    atoms = model.atom_embedding(graph.atomic_numbers - 1)
    bonds = model.bond_embedding(graph.bond_bases_ag)
    weights = model.bond_weights_bg(graph.bond_bases_bg)
    of_atoms = {
        "bond_weights": model.bond_weights_ag(graph.bond_bases_ag),
        "atom_graph": graph.batched_atom_graph,
        "directed2undirected": graph.directed2undirected,
    }
    has_angles = len(graph.angle_bases) != 0
    angles = model.angle_embedding(graph.angle_bases) if has_angles else None
    layers = zip(
        model.atom_conv_layers[:-1], model.bond_conv_layers, model.angle_layers, strict=True
    )
    for of_atom, of_bond, of_angle in layers:
        atoms = of_atom(atom_feas=atoms, bond_feas=bonds, **of_atoms)
        if not has_angles or of_bond is None:
            continue
        bonds = of_bond(
            atom_feas=atoms,
            bond_feas=bonds,
            bond_weights=weights,
            angle_feas=angles,
            bond_graph=graph.batched_bond_graph,
        )
        if of_angle is not None:
            angles = of_angle(
                atom_feas=atoms,
                bond_feas=bonds,
                angle_feas=angles,
                bond_graph=graph.batched_bond_graph,
            )
    return {"atom_feas": atoms, "bond_feas": bonds, **of_atoms}


def energies_of(model: Any, features: Tensor, batch: GraphBatch) -> tuple[Tensor, Tensor | None]:
    """Return the vendor's energy readout from features, (B,), and the energy of each atom, if it has one."""
    if model.mlp_first:
        each = model.mlp(features)
        return model.pooling(each, batch.batch).view(-1), each.squeeze(1)
    return model.mlp(model.pooling(features, batch.batch)).view(-1) * batch.n_atoms, None
