"""SevenNet's list of files, with the frames to take of each, is one source of structures."""

from __future__ import annotations

import ase.io
import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError


@pytest.fixture
def listed(copper, tmp_path):
    """Return a function that writes such a list beside three files of seven frames."""
    for k in range(3):
        (tmp_path / f"run{k}").mkdir()
        ase.io.write(tmp_path / f"run{k}" / "md.xyz", copper(7, seed=k))

    def write(text):
        path = tmp_path / "structure_list"
        path.write_text(text)
        return path

    return write


def test_files_and_their_frames_are_taken_in_order(listed):
    data = mt.open_dataset(listed("[first]\nrun2/md.xyz ::3\n\n[others]\nrun{0..1}/md.xyz -2:\n"))
    places = [data.source(i).split("/")[-2:] for i in range(len(data))]
    assert [(run, int(place.split()[-1])) for run, place in places] == [
        ("run2", 0),
        ("run2", 3),
        ("run2", 6),
        ("run0", 5),
        ("run0", 6),
        ("run1", 5),
        ("run1", 6),
    ]
    assert data.n_atoms().tolist() == [len(data.frame(i)) for i in range(7)]


@pytest.mark.parametrize(("frames", "expected"), [("", 21), ("0", 3), ("-1", 3), (":2", 6)])
def test_frames_are_a_slice_or_a_number(listed, frames, expected):
    path = listed(f"[all]\nrun*/md.xyz {frames}\n")
    assert len(mt.open_dataset(path)) == expected
    assert len(mt.XYZDatasetConfig(src=path).files()) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a]\nrun0/md.xyz :\nrun0/md.xyz 1:\n", "twice, with frames ':' and '1:'"),
        ("[a]\nrun0/md.xyz 1:2:3:4\n", "line 2: 'run0/md.xyz 1:2:3:4' is no file"),
        ("[a]\nrun9/md.xyz\n", "run9/md.xyz"),
    ],
)
def test_what_cannot_be_taken_is_named(listed, text, told):
    with pytest.raises(DataError, match=told):
        mt.open_dataset(listed(text))
