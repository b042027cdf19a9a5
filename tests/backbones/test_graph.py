"""Graphs: every neighbour that ASE finds, whatever the cell; and batches that keep them apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import neighbor_list

from mattertune_nb.backbones.graph import collate_graphs, neighbor_graph, paired_edges


def outside(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.positions += np.array([2, -3, 4])[None] @ atoms.cell.array
    atoms.positions[0] += atoms.cell.array[0]
    return atoms


def skewed() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1, 0.9, 0], [0, 1, -0.8], [0.7, 0, 1]], scale_atoms=True)
    return atoms


WIRE = Atoms("Cu2", [[0, 0, 0], [0.4, 2.4, 0.3]], cell=[0, 0, 2.5], pbc=[False, False, True])
STRUCTURES = {
    "one atom in a small cell": bulk("Cu"),
    "cubic": bulk("Cu", cubic=True),
    "skewed": skewed(),
    "atoms outside the cell": outside(bulk("Cu", cubic=True)),
    "slab": fcc111("Cu", (2, 1, 3), vacuum=8, periodic=False),
    "slab without a third vector": fcc111("Cu", (2, 2, 2)),
    "wire without two vectors": WIRE,
    "molecule without a cell": molecule("CH3CH2OH"),
    "molecule in a cell that is not periodic": Atoms(
        molecule("CH3CH2OH"), cell=[3, 3, 3], pbc=False
    ),
    "one atom alone": Atoms("Cu"),
    "two atoms out of reach": Atoms("Cu2", [[0, 0, 0], [0, 0, 50]]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_all_neighbours_of_ase_are_found_once(name):
    atoms = STRUCTURES[name]
    cutoff = 5.0
    graph = neighbor_graph(atoms, cutoff)
    i, j, shifts = neighbor_list("ijS", atoms, cutoff)
    ours = np.c_[graph.edge_index.numpy().T, graph.cell_shifts.numpy()]
    theirs = np.c_[i, j, shifts]
    assert len(np.unique(ours, axis=0)) == len(ours)
    assert {tuple(row) for row in ours.tolist()} == {tuple(row) for row in theirs.tolist()}
    vectors = (
        graph.positions[graph.edge_index[1]]
        - graph.positions[graph.edge_index[0]]
        + graph.cell_shifts.double() @ graph.cell
    )
    assert (vectors.norm(dim=1) <= cutoff).all()


@pytest.mark.parametrize("name", STRUCTURES)
def test_each_undirected_edge_is_two_directed_ones_that_point_against_each_other(name):
    graph = neighbor_graph(STRUCTURES[name], 5.0)
    (i, j), shifts = graph.edge_index.numpy(), graph.cell_shifts.numpy()
    pairs = paired_edges(graph.edge_index.numpy(), shifts)
    for k in range(len(pairs) // 2):
        a, b = np.flatnonzero(pairs == k)
        assert (i[a], j[a]) == (j[b], i[b])
        assert (shifts[a] == -shifts[b]).all()


def test_a_batch_counts_atoms_through_and_keeps_structures_apart():
    graphs = [neighbor_graph(atoms, 5.0) for atoms in STRUCTURES.values()]
    batch = collate_graphs(graphs)
    assert batch.n_atoms.tolist() == [len(atoms) for atoms in STRUCTURES.values()]
    centre, neighbour = batch.edge_index
    assert torch.equal(batch.batch[centre], batch.batch[neighbour])
    start = 0
    for k, graph in enumerate(graphs):
        mine = batch.batch[centre] == k
        assert torch.equal(batch.edge_index[:, mine] - start, graph.edge_index)
        assert torch.equal(batch.cell_shifts[mine], graph.cell_shifts)
        start += len(graph.numbers)


def test_extra_tensors_are_shifted_by_what_their_columns_count():
    graphs = [neighbor_graph(bulk("Cu", cubic=True), 3.0) for _ in range(2)]
    n_atoms, n_edges = 4, graphs[0].edge_index.shape[1]
    for graph in graphs:
        graph.extra.update(rows=torch.arange(5), mixed=torch.zeros(3, 3, dtype=torch.int64))
    batch = collate_graphs(graphs, {"rows": "none", "mixed": ["atoms", "edges", "rows"]})
    assert batch.extra["rows"].tolist() == [*range(5), *range(5)]
    assert batch.extra["mixed"][:3].eq(0).all()
    assert batch.extra["mixed"][3:].unique(dim=0).tolist() == [[n_atoms, n_edges, 5]]


def test_a_batch_moves_as_a_whole_and_keeps_its_number_formats():
    batch = collate_graphs([neighbor_graph(bulk("Cu"), 3.0)])
    batch.labels = {"energy": torch.zeros(1, dtype=torch.float64)}
    moved = batch.to("cpu")
    assert moved.labels["energy"].dtype == torch.float64
    assert moved.positions.dtype == torch.float64
    assert len(moved) == 1


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_the_nearest_neighbours_of_each_centre_are_kept(most):
    atoms = skewed().repeat(2)
    atoms.rattle(0.1, seed=1)
    i, j, d = neighbor_list("ijd", atoms, 5.0)
    graph = neighbor_graph(atoms, 5.0, most)
    for atom in range(len(atoms)):
        nearest = j[i == atom][np.argsort(d[i == atom])][:most]
        assert sorted(nearest) == sorted(graph.edge_index[1][graph.edge_index[0] == atom].tolist())
    assert (graph.edge_index[0].diff() >= 0).all()
