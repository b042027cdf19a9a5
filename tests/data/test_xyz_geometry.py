"""The fast way to a geometry gives what ASE does, or leaves the frame to it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from mattertune_nb.data import content
from mattertune_nb.data.content import frame_keys
from mattertune_nb.data.sources.configs import XYZDatasetConfig
from mattertune_nb.data.xyz.file import IndexedXYZ
from mattertune_nb.data.xyz.geometry import plain_geometry


def test_all_frames_of_a_file_are_as_ase_reads_them(copper, water, tmp_path):
    slab = Atoms(
        "OH", [[0, 0, 0], [0, 0, 1e-3]], cell=[[3, 0, 0], [-1, 4, 0], [0, 0, 9]], pbc=[1, 1, 0]
    )
    write(tmp_path / "a.xyz", [*copper(6), water, slab])
    frames = IndexedXYZ(tmp_path / "a.xyz")
    for i in range(len(frames)):
        numbers, positions, cell, pbc = plain_geometry(frames.block(i))
        np.testing.assert_array_equal(numbers, frames[i].numbers)
        np.testing.assert_array_equal(positions, frames[i].positions)
        np.testing.assert_array_equal(cell, frames[i].cell.array)
        np.testing.assert_array_equal(pbc, frames[i].pbc)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("a comment", "H 0 0 0"),
        ("Properties=pos:R:3:species:S:1", "0 0 0 H"),
        ('lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3', "H 0 0 0"),
        ('cell="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3', "H 0 0 0"),
        ('Lattice="3 3 3" Properties=species:S:1:pos:R:3', "H 0 0 0"),
        ('pbc="1 1 1" Properties=species:S:1:pos:R:3', "H 0 0 0"),
        ("Properties=species:S:1:pos:R:3", "Qq 0 0 0"),
        ("Properties=species:S:1:pos:R:3", "H 0 0 1.0D0"),
        ("Properties=species:S:1:pos:R:3", "H 0 0 0 extra"),
    ],
)
def test_any_other_frame_is_left_to_ase(header, rows):
    assert plain_geometry(f"1\n{header}\n{rows}\n".encode()) is None


def test_both_ways_find_the_same_structures(copper_xyz, monkeypatch):
    fast = frame_keys(XYZDatasetConfig(src=copper_xyz).create_dataset())
    monkeypatch.setattr(content, "plain_geometry", lambda block: None)
    slow = frame_keys(XYZDatasetConfig(src=copper_xyz).create_dataset())
    for name in ("structure", "species", "composition"):
        assert (getattr(fast, name) == getattr(slow, name)).all()
