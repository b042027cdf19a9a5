"""Tables with a structure per row: Parquet in groups of rows, and a folder of Hugging Face's datasets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError

pa = pytest.importorskip("pyarrow", reason="pip install 'mattertune-nb[parquet]'")

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def table(copper):
    """Return ten cells of copper with EMT's labels as a table, under the names that datasets have."""
    return pa.Table.from_pylist(
        [
            {
                "atomic_numbers": atoms.numbers.tolist(),
                "positions": atoms.positions.tolist(),
                "cell": atoms.cell.array.tolist(),
                "pbc": atoms.pbc.tolist(),
                "energy": atoms.get_potential_energy(),
                "forces": atoms.get_forces().tolist(),
                "name": f"frame {i}",
            }
            for i, atoms in enumerate(copper(10))
        ]
    )


def assert_is_copper(data, copper, n=10):
    assert len(data) == n
    assert data.n_atoms().tolist() == [len(atoms) for atoms in copper(10)][:n]
    for i in (n - 1, 0, 4):
        atoms, labels = copper(10)[i], data.labels(i)
        np.testing.assert_array_equal(data.frame(i).positions, atoms.positions)
        np.testing.assert_array_equal(data.frame(i).cell.array, atoms.cell.array)
        np.testing.assert_array_equal(labels["forces"], atoms.get_forces())
        assert labels["energy"] == atoms.get_potential_energy()
        assert data.frame(i).info["name"] == f"frame {i}"


def test_rows_of_a_parquet_file_are_structures(table, copper, tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(table, file, row_group_size=3)
    data = mt.open_dataset(file)
    assert_is_copper(data, copper)
    assert_is_copper(pickle.loads(pickle.dumps(data)), copper)
    assert data.source(4) == f"{file}, frame 4"


def test_one_group_of_rows_is_in_memory(table, tmp_path):
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    from mattertune_nb.data.readers.parquet import TableFrames

    frames = TableFrames(tmp_path / "a.parquet")
    for i in range(10):
        _ = frames[i]
        assert frames._group[1].num_rows <= 3


def test_a_folder_of_hugging_face_is_read_without_what_describes_it(table, copper, tmp_path):
    for name, part in (("00000", table.slice(0, 6)), ("00001", table.slice(6))):
        file = str(tmp_path / f"data-{name}-of-00002.arrow")
        with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(part)
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text('{"_data_files": []}')
    assert_is_copper(mt.open_dataset(tmp_path), copper)


def test_what_is_no_table_of_structures_is_refused_in_words(table, copper, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read as a table"):
        mt.open_dataset(tmp_path / "a.parquet")
    pq.write_table(table, tmp_path / "d.parquet", compression="none")
    whole = (tmp_path / "d.parquet").read_bytes()
    energies = np.array([a.get_potential_energy() for a in copper(10)])
    place = whole.index(energies.tobytes())  # behind the header of its page
    (tmp_path / "d.parquet").write_bytes(whole[: place - 60] + b"\x1b" * 60 + whole[place:])
    with pytest.raises(DataError, match=r"d\.parquet: cannot be read as a table") as error:
        mt.open_dataset(tmp_path / "d.parquet").frame(0)
    assert str(error.value).isprintable()
    pq.write_table(table.select(["energy", "name"]), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"frame 0: has no atomic numbers or no positions"):
        mt.open_dataset(tmp_path / "b.parquet").frame(0)
    pq.write_table(table.slice(0, 0), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"c\.parquet: holds no row"):
        mt.open_dataset(tmp_path / "c.parquet")
