"""Graphs on disk: found again by what the structure is, shared by processes, and never in the way."""

from __future__ import annotations

import pickle
import time
from multiprocessing import get_context

import pytest
import torch
from ase.build import bulk, molecule

from mattertune_nb.backbones.graph import neighbor_graph
from mattertune_nb.backbones.graph_store import GraphStore


def graph_of(atoms):
    graph = neighbor_graph(atoms, 4.0)
    graph.extra["angles"] = torch.arange(6).reshape(2, 3)
    return graph


@pytest.fixture
def store(tmp_path):
    return GraphStore("test cutoff=4.0", 10, tmp_path)


def test_a_graph_comes_back_as_it_was(store):
    for atoms in (bulk("NaCl", "rocksalt", a=5.6), molecule("CH3OH"), molecule("H")):
        graph = graph_of(atoms)
        assert store.get(atoms) is None
        store.put(atoms, graph)
        again = store.get(atoms)
        for name in ("numbers", "positions", "cell", "pbc", "edge_index", "cell_shifts"):
            assert torch.equal(getattr(again, name), getattr(graph, name))
            assert getattr(again, name).dtype == getattr(graph, name).dtype
        assert torch.equal(again.extra["angles"], graph.extra["angles"])


def test_reading_is_quicker_than_building(store, chgnet):
    atoms = molecule("CH3CH2OH")
    store.put(atoms, chgnet.backbone.graph(atoms))

    def seconds(action) -> float:
        times = []
        for _ in range(10):
            start = time.process_time()
            action(atoms)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(store.get) < seconds(chgnet.backbone.graph)


@pytest.mark.parametrize("change", ["position", "cell", "pbc", "species", "order"])
def test_another_structure_has_another_graph(store, change):
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    store.put(atoms, graph_of(atoms))
    other = atoms.copy()
    if change == "position":
        other.positions[3, 1] += 1e-9
    elif change == "cell":
        other.set_cell(atoms.cell * 1.0001)
    elif change == "pbc":
        other.pbc = [True, True, False]
    elif change == "species":
        other.symbols[0] = "K"
    else:
        other = atoms[::-1]
    assert store.get(other) is None
    labelled = atoms.copy()
    labelled.info["energy"] = 1.0
    assert store.get(labelled) is not None


def test_another_kind_has_another_file(store, tmp_path):
    atoms = bulk("Cu")
    store.put(atoms, graph_of(atoms))
    assert GraphStore("test cutoff=5.0", 10, tmp_path).get(atoms) is None


def test_the_kind_says_backbone_and_cutoff(chgnet):
    kind = chgnet.backbone.graph_kind
    assert "chgnet.adapter" in kind
    assert "cutoff=6.0" in kind
    assert "bond_cutoff=3.0" in kind


def test_the_file_is_bounded_and_what_came_first_goes_first(tmp_path):
    store = GraphStore("small", 1.0, tmp_path)
    frames = [bulk("Cu", a=3.4 + 0.0005 * i).repeat(2) for i in range(240)]
    for atoms in frames:
        store.put(atoms, graph_of(atoms))
    assert store.path.stat().st_size < 1.3e6
    assert store.get(frames[0]) is None
    assert store.get(frames[-1]) is not None


def _put(store, i):
    atoms = bulk("Cu", a=3.5 + 0.01 * i)
    store.put(atoms, graph_of(atoms))


def test_processes_share_it(store):
    _put(store, 0)
    with get_context("fork").Pool(3) as pool:
        pool.starmap(_put, [(store, i) for i in range(1, 12)])
    for i in range(12):
        assert store.get(bulk("Cu", a=3.5 + 0.01 * i)) is not None
    assert pickle.loads(pickle.dumps(store)).get(bulk("Cu", a=3.5)) is not None


def test_a_damaged_file_costs_only_the_cache(store, caplog):
    atoms = bulk("Cu")
    store.path.write_bytes(b"no database " * 1000)
    assert store.get(atoms) is None
    store.put(atoms, graph_of(atoms))
    assert "not a database" in caplog.text


def test_nothing_is_kept_without_room(tmp_path):
    store = GraphStore("none", 0, tmp_path)
    store.put(bulk("Cu"), graph_of(bulk("Cu")))
    assert store.get(bulk("Cu")) is None
    assert not store.path.exists()


def test_a_structure_of_another_charge_is_another_where_graphs_depend_on_it(tmp_path):
    one, other = molecule("OH"), molecule("OH")
    other.info["charge"] = -1
    graph = graph_of(one)
    aware, unaware = GraphStore("a", 10, tmp_path, info=("charge",)), GraphStore("b", 10, tmp_path)
    for store in (aware, unaware):
        store.put(one, graph)
    assert aware.get(other) is None
    assert pickle.loads(pickle.dumps(aware)).get(other) is None
    assert aware.get(one) is not None
    assert unaware.get(other) is not None
