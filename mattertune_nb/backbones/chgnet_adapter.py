"""CHGNet's own model on our graphs: a whole batch at once, in any dtype, for any periodicity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import chemical_symbols
from chgnet.model.model import BatchedGraph
from typing_extensions import override

from mattertune_nb.backbones.backbone import Backbone, freeze_unreached
from mattertune_nb.backbones.chgnet_layers import work_by_parts
from mattertune_nb.backbones.graph import Graph, GraphBatch, collate_graphs, paired_edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray
    from torch import Tensor


class CHGNetBackbone(Backbone):
    """Adapter of :class:`chgnet.model.model.CHGNet`.

    The vendor's ``BatchedGraph`` is filled for the whole batch in one go, where the vendor loops
    over structures; message passing and readout are the vendor's ``CHGNet._compute``, its layers
    computed by parts.
    """

    def __init__(self, model: Any, label: str) -> None:
        super().__init__()
        work_by_parts(model)
        self.model = model
        self.label = label
        self.cutoff = float(model.graph_converter.atom_graph_cutoff)
        self.bond_cutoff = float(model.graph_converter.bond_graph_cutoff)
        self.elements = tuple(chemical_symbols[1:95])
        freeze_unreached(self)

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
        vectors = (
            graph.positions.numpy()[edges[1]]
            - graph.positions.numpy()[edges[0]]
            + shifts @ graph.cell.numpy()
        )
        short = np.flatnonzero(np.linalg.norm(vectors, axis=1) < self.bond_cutoff)
        first, second = _pairs_at_one_centre(edges[0][short])
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
    def energy(self, batch: GraphBatch, edge_vectors: Tensor) -> Tensor:
        model = self.model
        angles, undirected = batch.extra["angles"], batch.extra["undirected"]
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
        graph = BatchedGraph(
            atomic_numbers=batch.numbers,
            bond_bases_ag=bases_ag,
            bond_bases_bg=bases_bg,
            angle_bases=angle_bases,
            batched_atom_graph=batch.edge_index.T,
            batched_bond_graph=angles[:, [0, 1, 3]],
            atom_owners=batch.batch,
            directed2undirected=undirected,
            atom_positions=[],
            strains=[],
            volumes=[],
        )
        energy: Tensor = model._compute(graph)["e"]
        if model.is_intensive:
            energy = energy * batch.n_atoms
        if model.composition_model is not None:
            per_element = model.composition_model.fc.weight[0]
            # under autocast the vendor's energy is in a smaller format than its parameters
            energy = energy.to(per_element.dtype)
            energy = energy.index_add(0, batch.batch, per_element[batch.numbers - 1])
        return energy


def _pairs_at_one_centre(
    centres: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all ordered pairs of different edges with the same centre; `centres` is sorted."""
    starts = np.searchsorted(centres, centres, side="left")
    counts = np.searchsorted(centres, centres, side="right") - starts
    first = np.repeat(np.arange(len(centres)), counts)
    ends = np.cumsum(counts)
    second = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    second = second + np.repeat(starts, counts)
    different = first != second
    return first[different], second[different]
