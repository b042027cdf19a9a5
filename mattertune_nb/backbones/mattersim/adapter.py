"""MatterSim's own layers on our graphs, up to the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import chemical_symbols
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES
from mattertune_nb.backbones.graph import Graph, GraphBatch, collate_graphs, pairs_at_one_centre
from mattertune_nb.backbones.multi_head import MultiHeadBackbone
from mattertune_nb.config.properties import ATOM_ENERGIES, ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor

_SHIFT = "normalizer.shift"
"""The vendor's energy of each element, by atomic number."""


class MatterSimBackbone(MultiHeadBackbone):
    """Adapter of ``M3Gnet``; its pass follows the vendor's, which converts everything to float32."""

    no_lammps = (
        "export to 'vendor', and let MatterSim's own interface make of it what `pair_style mliap` reads (its "
        "guide, LAMMPS)."
    )

    has_atom_energies = True

    def __init__(self, model: Any, label: str) -> None:
        super().__init__()
        self.model = model
        self.architecture = dict(model.model_args)
        self.label = label
        self.cutoff = float(model.model_args["cutoff"])
        self.angle_cutoff = float(model.model_args["threebody_cutoff"])
        self.elements = tuple(chemical_symbols[1 : model.max_z + 1])
        self.n_features = int(model.model_args["units"])

    @property
    @override
    def graph_kind(self) -> str:
        return f"{super().graph_kind} angle_cutoff={self.angle_cutoff!r}"

    @override
    def graph(self, atoms: Atoms) -> Graph:
        graph = super().graph(atoms)
        short = np.flatnonzero(graph.lengths().numpy() <= self.angle_cutoff)
        pairs = pairs_at_one_centre(graph.edge_index[0].numpy()[short])
        graph.extra["angles"] = torch.from_numpy(np.stack([short[p] for p in pairs], axis=1))
        return graph

    @override
    def collate(self, graphs: Sequence[Graph]) -> GraphBatch:
        return collate_graphs(graphs, {"angles": ["edges", "edges"]})

    @override
    def reaches_all(self, batch: GraphBatch) -> bool:
        return len(batch.extra["angles"]) > 0

    @override
    def save_vendor(self, path: Path, references: NDArray[np.float64]) -> None:
        state = {
            name: value.detach().cpu().float() for name, value in self.model.state_dict().items()
        }
        added = torch.from_numpy(references[: self.model.max_z + 1]).float()
        state[_SHIFT] = state[_SHIFT] + added
        torch.save({"model_name": "m3gnet", "model": state, "model_args": self.architecture}, path)

    @override
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]:
        model, dtype = self.model, edge_vectors.dtype
        n_atoms, n_edges = len(batch.numbers), len(edge_vectors)
        angles = batch.extra["angles"]
        first, second = angles.T
        lengths = edge_vectors.norm(dim=1)
        dot = (edge_vectors[first] * edge_vectors[second]).sum(dim=1)
        cosine = (dot / (lengths[first] * lengths[second])).clamp(-1 + 1e-7, 1 - 1e-7)
        one_hot = torch.nn.functional.one_hot(batch.numbers, model.max_z + 1).to(dtype)
        atoms, basis = model.atom_embedding(one_hot), model.rbf(lengths)
        edges = model.edge_encoder(basis)
        around = model.sbf(lengths[second], torch.acos(cosine))
        for layer in model.graph_conv:
            atoms, edges = layer(
                atoms,
                edges,
                basis,
                batch.edge_index,
                around,
                angles,
                lengths[:, None],
                None,  # its own counts, from which the last three are derived
                batch.numbers,
                None,
                total_num_atoms=n_atoms,
                total_num_bonds=n_edges,
                three_body_edge_map=first,
            )
        energies = model.normalizer(model.final(atoms).view(-1), batch.numbers)
        out = {ENERGY.name: energies.new_zeros(len(batch)).index_add(0, batch.batch, energies)}
        if FEATURES in heads:
            out[FEATURES] = atoms
        if ATOM_ENERGIES.name in heads:
            out[ATOM_ENERGIES.name] = energies
        return out
