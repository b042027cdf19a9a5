"""Long files are indexed once and read frame by frame; a broken one is refused with its place."""

from __future__ import annotations

import contextlib
import pickle
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError
from mattertune_nb.data.frame_checks import check_dataset
from mattertune_nb.data.sources.opening import open_frames
from mattertune_nb.data.xyz import file as xyz
from mattertune_nb.data.xyz.file import IndexedXYZ


def same(one, two):
    """Whether two frames agree in geometry and labels to the last digit."""
    return one == two and all(
        np.array_equal(one.calc.results[k], two.calc.results[k]) for k in two.calc.results
    )


def test_each_frame_is_the_one_that_ase_reads(copper_xyz):
    frames, expected = IndexedXYZ(copper_xyz), ase.io.read(copper_xyz, ":")
    assert len(frames) == len(expected) == 10
    assert all(same(frames[i], expected[i]) for i in (9, 0, 4, -1))
    assert frames.n_atoms.tolist() == [len(atoms) for atoms in expected]
    with pytest.raises(IndexError):
        frames[10]


@pytest.mark.parametrize("name", ["Li_electrode_val.xyz", "train_30_water_1000_eVAng.xyz"])
def test_the_shared_files_read_as_with_ase(shared_data, name):
    frames, expected = IndexedXYZ(shared_data / name), ase.io.read(shared_data / name, ":")
    assert len(frames) == len(expected)
    assert all(same(frames[i], atoms) for i, atoms in enumerate(expected))


def test_blank_lines_cell_vectors_and_plain_xyz_are_understood(tmp_path):
    path = tmp_path / "plain.xyz"
    path.write_text(
        "1\n\nH 0 0 0\n\n2\nVEC cell\nH 0 0 0\nH 0 0 1\nVEC1 3 0 0\n\n1\n\nO 0 0 0\n\n\n"
    )
    frames = IndexedXYZ(path)
    assert [atoms.get_chemical_formula() for atoms in frames] == ["H", "H2", "O"]
    assert frames[1].cell[0].tolist() == [3, 0, 0]


def test_a_pickled_reader_reads_on(copper_xyz):
    frames = pickle.loads(pickle.dumps(IndexedXYZ(copper_xyz)))
    assert same(frames[7], ase.io.read(copper_xyz, 7))


def test_the_index_is_kept_away_from_the_file_and_used_again(copper_xyz, monkeypatch):
    monkeypatch.setattr(xyz, "_CACHE_FROM", 0)
    expected = IndexedXYZ(copper_xyz)
    assert [p.name for p in copper_xyz.parent.iterdir()] == [copper_xyz.name]
    monkeypatch.setattr(xyz, "_scan", lambda _: pytest.fail("scanned again"))
    assert same(IndexedXYZ(copper_xyz)[3], expected[3])


def test_a_changed_file_is_indexed_anew(copper, copper_xyz, monkeypatch):
    monkeypatch.setattr(xyz, "_CACHE_FROM", 0)
    old = IndexedXYZ(copper_xyz)
    ase.io.write(copper_xyz, copper(3, seed=1))
    assert len(IndexedXYZ(copper_xyz)) == 3
    with pytest.raises(DataError, match="has changed since it was opened"):
        old[0]


@pytest.mark.parametrize("broken", [b"", b"not an index", b"\x93NUMPY\x01\x00"])
def test_a_broken_index_is_made_again(copper_xyz, monkeypatch, broken):
    monkeypatch.setattr(xyz, "_CACHE_FROM", 0)
    IndexedXYZ(copper_xyz)
    xyz._cache_file(copper_xyz).write_bytes(broken)
    assert len(IndexedXYZ(copper_xyz)) == 10


def test_a_cache_that_cannot_be_written_is_no_error(copper_xyz, tmp_path, monkeypatch):
    monkeypatch.setattr(xyz, "_CACHE_FROM", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(copper_xyz))  # a file, not a folder
    assert len(IndexedXYZ(copper_xyz)) == 10


def test_opening_a_long_file_needs_little_memory(copper_xyz, tmp_path):
    long = tmp_path / "long.xyz"
    with long.open("wb") as file:
        for _ in range(1000):
            file.write(copper_xyz.read_bytes())
    size = long.stat().st_size
    tracemalloc.start()
    frames = IndexedXYZ(long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(frames) == 10_000
    assert peak < size / 2
    assert same(frames[9_995], frames[5])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "only blank lines"),
        (
            "1\n\nH 0 0 0\ntwo\n\nH 0 0 0\n",
            "frame 1 (line 4): expected the number of atoms, got 'two'",
        ),
        ("1\n\nH 0 0 0\n2\n\nH 0 0 0\n", "frame 1 (line 4): the file ends after 1 of 2 atoms"),
        ("1\n\nH 0 0 0\n2\n", "frame 1 (line 4): the file ends after 0 of 2 atoms"),
        ("1\n\nH 0 0 0\n1\n\nH 0 0\n", "frame 1 (line 4): not a valid frame"),
        ("99999999999999999999\n\nH 0 0 0\n", "frame 0 (line 1): expected the number of atoms"),
        ("1\n\nQq 0 0 0\n", "frame 0 (line 1): not a valid frame"),
    ],
)
def test_a_broken_file_is_refused_with_file_frame_and_line(tmp_path, text, words):
    path = tmp_path / "broken.xyz"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        open_frames(path)
    assert str(path) in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_frame_in_the_middle_is_named_when_read(tmp_path):
    path = tmp_path / "broken.xyz"
    path.write_text("1\n\nH 0 0 zero\n1\n\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"frame 0 \(line 1\): not a valid frame"):
        open_frames(path)[0]


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.xyz: no such file"):
        open_frames(tmp_path / "none.xyz")
    with pytest.raises(DataError, match="no such home folder"):
        open_frames("~nosuchuser/a.xyz")
    with pytest.raises(DataError, match="holds no file of structures"):
        open_frames(tmp_path)


def test_other_formats_are_read_as_a_whole(copper_xyz, tmp_path):
    expected = ase.io.read(copper_xyz, ":")
    # ASE itself would take what follows an @ for an index
    for name in ("copper.traj", "copper.xyz.gz", "md@300K.traj", "md@3.xyz.gz"):
        ase.io.write(tmp_path / name, expected)
        frames = open_frames(tmp_path / name)
        assert len(frames) == 10
        assert same(frames[4], expected[4])


def test_an_unknown_format_is_refused(tmp_path):
    (tmp_path / "copper.qqq").write_bytes(bytes(range(1, 65)))
    with pytest.raises(DataError, match=r"copper\.qqq: is of no known format"):
        open_frames(tmp_path / "copper.qqq")


def test_line_ends_and_a_mark_of_windows_change_nothing(copper, tmp_path):
    ase.io.write(tmp_path / "plain.xyz", copper(3))
    text = (tmp_path / "plain.xyz").read_bytes()
    (tmp_path / "windows.xyz").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    plain, windows = IndexedXYZ(tmp_path / "plain.xyz"), IndexedXYZ(tmp_path / "windows.xyz")
    assert len(windows) == 3
    for ours, theirs in zip(windows, plain, strict=True):
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.get_forces(), theirs.get_forces())


def test_a_file_cut_off_within_its_last_number_is_truncated(copper, tmp_path):
    path = tmp_path / "cut.xyz"
    ase.io.write(path, copper(3))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"cut\.xyz, frame 2 .*truncated"):
        IndexedXYZ(path)


def test_a_file_without_a_last_line_end_is_whole(copper, tmp_path):
    path = tmp_path / "whole.xyz"
    ase.io.write(path, copper(3))
    path.write_bytes(path.read_bytes().rstrip())
    assert len(IndexedXYZ(path)) == 3


@pytest.mark.parametrize("count", ["-5", "0"])
def test_a_header_that_declares_no_column_of_a_name_is_told_in_words(count, tmp_path):
    path = tmp_path / "narrow.xyz"
    path.write_text(f"1\nProperties=species:S:1:pos:R:3:x:R:{count}\nCu 0 0 0\n")
    with pytest.raises(DataError, match=f"declares {count} columns of one name, where 1 is"):
        open_frames(path)


@pytest.mark.parametrize("count", [str(10**30), f"+{10**30}", "1" + "_000" * 6, "9" * 5000])
@pytest.mark.parametrize("atoms", ["1\n{}\nCu 0 0 0\n", "0\n{}", "0\n{}\n"])
@pytest.mark.parametrize("first", ["", "Properties=species:S:1:pos:R:3 "])
def test_a_header_cannot_ask_for_more_columns_than_there_are(first, atoms, count, tmp_path):
    path = tmp_path / "wide.xyz"
    path.write_text(atoms.format(f"{first}Properties=species:S:1:pos:R:3:x:R:{count}"))
    with pytest.raises(
        DataError, match=r"declares over a billion columns, but the|not a valid frame"
    ):
        open_frames(path)


# -- whatever stands in a file -------------------------------------------------------------------

COLUMNS = [
    *("species:S:1:pos:R:3", "species:S:1:pos:R:3:forces:R:3", "species:S:1:pos:R:3:Z:I:1"),
    *("Z:I:1:pos:R:3", "species:S:1:pos:R:1" + "0" * 30, "species:S:1:pos:R:" + "9" * 5000),
    *(
        "pos:R:3",
        "species:S:1",
        "species:S:0:pos:R:3",
        "species:S:1:pos:R:-3",
        "species:R:1:pos:S:3",
    ),
    *("species:S:1:pos:R", "", "species:S:1:pos:R:3:pos:R:3", "species:S:1:pos:R:2000:a:R:1"),
    *("species:S:1:pos:R:3:move_mask:L:1", "species:S:3:pos:R:3", "species:S:1:pos:R:0"),
]
INFO = [
    *("energy=1", "energy=abc", 'energy="1 2 3"', 'stress="1 2"', "virial=1", 'pbc="T T"', "pbc=9"),
    *(
        'Lattice="1 0 0 0 1 0 0 0 1"',
        'Lattice="1 0 0"',
        'Lattice="nan 0 0 0 1 0 0 0 1"',
        "Lattice=1",
    ),
    *('Lattice="1e300 0 0 0 1e300 0 0 0 1e300"', "=", '"', "{", "x", 'a="[[1,2],[3]]"', "_JSON=1"),
]
ATOMS = [
    *(
        "Cu 0 0 0",
        "O 1 1 1 0.1 0.2 0.3",
        "X 0 0 0",
        "Zz 1 2 3",
        "500 0 0 0",
        "-1 0 0 0",
        "H nan 0 0",
    ),
    *("H 0 0", "", "H 0 0 0 a b c", "0 0 0 0", "Cu 0 0 0 300", "H 0 0 0 T", "É 0 0 0"),
]
COUNTS = ["x", "-1", "1e3", "9" * 5000, "999999999", "", "²"]


@st.composite
def frames_of_text(draw) -> str:
    """Return frames of an XYZ file with odd headers, columns and numbers."""
    out = []
    for _ in range(draw(st.integers(1, 3))):
        atoms = draw(st.lists(st.sampled_from(ATOMS), max_size=3))
        count = draw(st.sampled_from([str(len(atoms))] * 12 + COUNTS))
        info = draw(st.lists(st.sampled_from(INFO), max_size=3))
        columns = draw(st.sampled_from(COLUMNS))
        out += [count, " ".join([f"Properties={columns}", *info]), *atoms]
    return "\n".join(out) + draw(st.sampled_from(["\n", ""]))


def read_or_refuse(text: str) -> None:
    labels = dict.fromkeys(("energy", "forces", "stresses"), "mask")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.xyz"
        path.write_text(text, encoding="utf-8")
        with contextlib.suppress(mt.MatterTuneError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = mt.XYZDatasetConfig(src=path).create_dataset()
            for elements in (None, ["Cu", "O"]):
                with contextlib.suppress(mt.MatterTuneError):
                    check_dataset(dataset, labels, elements)


@settings(max_examples=60)
@given(frames_of_text())
def test_any_frame_is_read_or_refused_in_words(text):
    read_or_refuse(text)


@pytest.mark.parametrize("number", ["500", "-1", "119"])
def test_a_number_that_is_no_elements_is_refused_with_its_atom(number, tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text(f"2\nProperties=Z:I:1:pos:R:3\n1 0 0 0\n{number} 0 0 1\n")
    dataset = mt.XYZDatasetConfig(src=path).create_dataset()
    with pytest.raises(mt.DataError, match=f"frame 0: atom 1 has the atomic number {number}"):
        check_dataset(dataset, {}, ["H"])
