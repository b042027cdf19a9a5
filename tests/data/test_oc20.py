"""LMDB in the layout of OC20: graphs that are pickled under a class that need not be installed."""

from __future__ import annotations

import pickle
import sys
import types
import zlib

import ase.db
import numpy as np
import pytest
import torch

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError

lmdb = pytest.importorskip("lmdb", reason="pip install 'mattertune-nb[lmdb]'")


@pytest.fixture
def graphs(monkeypatch):
    """Return the class of graphs as PyTorch Geometric names it, there only while it is pickled."""
    module = types.ModuleType("torch_geometric.data.data")

    class Data:
        def __init__(self, **values):
            self.__dict__["_store"] = {"_mapping": values}

    Data.__module__, Data.__qualname__, module.Data = module.__name__, "Data", Data
    for name in ("torch_geometric", "torch_geometric.data"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Data


def write(path, values):
    database = lmdb.open(str(path), subdir=False, map_size=1 << 24)
    with database, database.begin(write=True) as txn:
        for key, value in values.items():
            txn.put(key.encode(), value)


def graph(data, atoms):
    return data(
        pos=torch.tensor(atoms.positions, dtype=torch.float32),
        atomic_numbers=torch.tensor(atoms.numbers, dtype=torch.float32),
        cell=torch.tensor(atoms.cell.array, dtype=torch.float32)[None],
        natoms=len(atoms),
        y=float(atoms.get_potential_energy()),
        force=torch.tensor(atoms.get_forces(), dtype=torch.float32),
        fixed=torch.zeros(len(atoms)),
        edge_index=torch.zeros((2, 7), dtype=torch.long),
        sid=17,
    )


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_graphs_are_structures_with_their_labels(pack, graphs, copper, tmp_path, monkeypatch):
    frames = copper(3)
    values = {str(i): pack(pickle.dumps(graph(graphs, atoms))) for i, atoms in enumerate(frames)}
    write(tmp_path / "data.0000.lmdb", values | {"length": pickle.dumps(3)})
    for name in [name for name in sys.modules if name.startswith("torch_geometric")]:
        monkeypatch.delitem(sys.modules, name)
    data = mt.open_dataset(tmp_path / "data.0000.lmdb", energy_key="y")
    assert len(data) == 3
    for i, atoms in enumerate(frames):
        labels = data.labels(i)
        assert labels["energy"] == atoms.get_potential_energy()
        np.testing.assert_allclose(labels["forces"], atoms.get_forces(), atol=1e-6)
        np.testing.assert_allclose(data.frame(i).cell.array, atoms.cell.array, atol=1e-6)
        assert data.frame(i).numbers.tolist() == atoms.numbers.tolist()
        assert data.frame(i).info["sid"] == 17


def test_a_pickle_that_names_a_function_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    write(tmp_path / "a.lmdb", {"0": pickle.dumps(Evil())})
    data = mt.open_dataset(tmp_path / "a.lmdb")
    with pytest.raises(DataError, match=r"frame 0: .*builtins\.print, which is no data"):
        data.frame(0)


def test_what_is_no_lmdb_is_refused_in_words(tmp_path):
    (tmp_path / "a.lmdb").write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(DataError, match=r"a\.lmdb: cannot be read as LMDB"):
        mt.open_dataset(tmp_path / "a.lmdb")
    write(tmp_path / "b.lmdb", {"other": b"1"})
    with pytest.raises(DataError, match=r"b\.lmdb: holds no structure under the keys 0, 1"):
        mt.open_dataset(tmp_path / "b.lmdb")


@pytest.mark.parametrize("name", ["a.lmdb", "a.aselmdb"])
def test_an_lmdb_that_is_cut_off_is_refused_and_ends_no_process(name, copper, tmp_path):
    path = tmp_path / name
    if name == "a.lmdb":
        write(path, {str(i): pickle.dumps({"a": "b" * 5000}) for i in range(9)})
    else:
        pytest.importorskip("ase_db_backends")
        with ase.db.connect(path, type="aselmdb") as database:
            for atoms in copper(9):
                database.write(atoms)
    content = path.read_bytes()
    for end in (len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match=rf"is cut off, {end} bytes of \d+ are there"):
            mt.open_dataset(path)
    path.write_bytes(content[:100])
    with pytest.raises(DataError, match="cannot be read as LMDB"):
        mt.open_dataset(path)


@pytest.mark.parametrize("value", [b"x\x9c1", b"cos\nabort\n(tR.", b"]K\x01.", b"", b"K\x01."])
def test_a_graph_that_is_none_is_refused_and_a_length_is_not_believed(
    value, graphs, copper, tmp_path
):
    write(tmp_path / "a.lmdb", {"0": value, "length": pickle.dumps(10**18)})
    with pytest.raises(DataError, match=r"a\.lmdb, frame 0: no graph|a\.lmdb, frame 0: "):
        mt.open_dataset(tmp_path / "a.lmdb").frame(0)
