"""Files of each format with bytes changed are read, or refused in words; none is waited for in vain."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import tempfile
import zlib
from pathlib import Path

import ase.db
import ase.io
import pytest
from hypothesis import strategies as st
from odd import MEMORY, cut_off, fuzz, mutated, refused_in_words
from test_cp2k import CELL, FORCES, OUTPUT, POSITIONS
from test_readers import RECORD
from test_vasp import OUTCAR, VASPRUN
from test_xyz import frames_of_text, read_or_refuse

import mattertune_nb as mt
from mattertune_nb.data.frame_checks import check_dataset

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(0)]

WORDS = [
    b"nan",
    b"-1",
    b"1e400",
    b"9" * 30,
    b"inf",
    b"",
    b"\n\n",
    b"\x00",
    b"{",
    b"[[",
    b'"',
    b"null",
]
WORDS += [
    b"Zz",
    b"<",
    b"&x;",
    b"Lattice=",
    b"energy",
    b"T",
    b"\xff\xfe",
    b"0 0 0",
    b"\xf0\x9f\x98\x80",
]

PLAIN = {
    "atomic_numbers": [11, 17],
    "positions": [[0, 0, 0], [2, 2, 2]],
    "cell": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
    "energy": -6.8,
    "forces": [[0.1, 0, 0], [-0.1, 0, 0]],
    "stress": [0.01, 0.02, 0.03, 0, 0, 0],
}


def by_ase(name: str, **settings):
    """Return the making of a file by ASE."""

    def make(frames, folder: Path) -> None:
        ase.io.write(folder / name, frames, **settings)

    return make


def packed(name: str, opened):
    """Return the making of a packed file."""

    def make(frames, folder: Path) -> None:
        ase.io.write(folder / "a.xyz", frames)
        with opened(folder / name, "wb") as file:
            file.write((folder / "a.xyz").read_bytes())
        (folder / "a.xyz").unlink()

    return make


def written(name: str, content: bytes):
    """Return the making of a file of given content."""
    return lambda frames, folder: (folder / name).write_bytes(content)


def database(name: str, **settings):
    """Return the making of a database of ASE."""

    def make(frames, folder: Path) -> None:
        with ase.db.connect(folder / name, **settings) as opened:
            for atoms in frames:
                opened.write(atoms, data={"my_energy": 5.0})

    return make


def rows(frames) -> list[bytes]:
    """Return the values of an LMDB as OC20 is kept, of dictionaries in place of its graphs."""
    found = [{"pos": a.positions, "atomic_numbers": a.numbers, "y": 1.0} for a in frames]
    return [pickle.dumps(row) for row in found]


def lmdb_of(values: list[bytes], folder: Path) -> None:
    """Make an LMDB."""
    from test_oc20 import write

    named = {str(i): value for i, value in enumerate(values)}
    write(folder / "a.lmdb", named | {"length": pickle.dumps(len(values))})


def table(frames, folder: Path) -> None:
    """Make a table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([PLAIN] * 3), folder / "a.parquet")


def stream(frames, folder: Path) -> None:
    """Make a file of Arrow."""
    import pyarrow as pa

    rows = pa.Table.from_pylist([PLAIN] * 3)
    with (
        pa.OSFile(str(folder / "a.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, rows.schema) as f,
    ):
        f.write_table(rows)


def deepmd(kind: str):
    """Return the making of a folder of DeePMD-kit."""

    def make(frames, folder: Path) -> None:
        import dpdata

        system = dpdata.LabeledSystem(frames[0], fmt="ase/structure")
        system.to(f"deepmd/{kind}", str(folder / "set"))

    return make


def cp2k(frames, folder: Path) -> None:
    """Make a trajectory of CP2K."""
    (folder / "h2-pos-1.xyz").write_text(POSITIONS)
    (folder / "h2-frc-1.xyz").write_text(FORCES)
    (folder / "h2-1.cell").write_text(CELL)


MAKERS = {
    "xyz": by_ase("a.xyz"),
    "xyz.gz": packed("a.xyz.gz", gzip.open),
    "xyz.xz": packed("a.xyz.xz", lzma.open),
    "xyz.bz2": packed("a.xyz.bz2", bz2.open),
    "traj": by_ase("a.traj"),
    "cif": by_ase("a.cif"),
    "POSCAR": lambda frames, folder: ase.io.write(folder / "POSCAR", frames[0], format="vasp"),
    "gen": lambda frames, folder: ase.io.write(folder / "a.gen", frames[0]),
    "db": database("a.db"),
    "database as JSON": database("a.json"),
    "aselmdb": database("a.aselmdb", type="aselmdb"),
    "CHGNet's JSON": written("a.json", json.dumps([RECORD]).encode()),
    "plain JSON": written("a.json", json.dumps([PLAIN, PLAIN]).encode()),
    "OC20": lambda frames, folder: lmdb_of(rows(frames), folder),
    "parquet": table,
    "arrow": stream,
    "deepmd/npy": deepmd("npy"),
    "deepmd/raw": deepmd("raw"),
    "CP2K": cp2k,
    "CP2K's output": written("job.out", OUTPUT.encode()),
    "OUTCAR": written("OUTCAR", OUTCAR.read_bytes()),
    "vasprun": written("vasprun.xml", VASPRUN.read_bytes()),
}


def read(src: Path) -> None:
    """Read everything of a source."""
    labels = dict.fromkeys(("energy", "forces", "stresses"), "mask")
    check_dataset(mt.open_dataset(src), labels, ["Cu", "O"])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_damaged_file_of(kind, copper_xyz, amount, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    MAKERS[kind](ase.io.read(copper_xyz, ":3"), made)
    files = {p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    files = {name: content for name, content in files.items() if "lock" not in name.name}
    assert files

    def damaged_is_read_or_refused(name: Path, data) -> None:
        # a changed page of LMDB can end the process: those who made it ask that files be trusted
        damage = cut_off(files[name]) if "lmdb" in name.suffix else mutated(files[name], WORDS)
        content = data.draw(damage)
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            for other, whole in files.items():
                path = Path(folder) / other
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if other == name else whole)
            src = Path(folder) / (next(iter(files)) if len(files) == 1 else "")
            refused_in_words(lambda: read(src))

    each = max(amount("examples", 300) // len(MAKERS), 10)
    memory = 1e13 if kind == "aselmdb" else MEMORY  # it asks for addresses of 2 TB, and fills none
    names = st.sampled_from(sorted(files))
    fuzz(damaged_is_read_or_refused, names, st.data(), examples=each, memory=memory)


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_a_damaged_graph_in_a_whole_lmdb(pack, copper_xyz, amount, tmp_path):
    values = rows(ase.io.read(copper_xyz, ":2"))

    def damaged_is_read_or_refused(value: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            lmdb_of([values[0], pack(value)], Path(folder))
            refused_in_words(lambda: read(Path(folder) / "a.lmdb"))

    each = max(amount("examples", 300) // len(MAKERS), 10)
    fuzz(damaged_is_read_or_refused, mutated(values[1], WORDS), examples=each)


def test_frames_of_odd_text(amount):
    fuzz(read_or_refuse, frames_of_text(), examples=amount("examples", 300))
