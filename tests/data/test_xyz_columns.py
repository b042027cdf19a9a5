"""Columns that ASE's parser gives up on are read where they mean one thing, and else told by their cause."""

from __future__ import annotations

import numpy as np
import pytest

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.xyz.file import IndexedXYZ

FORCES = [[0.1, 0, -0.2], [-0.1, 0, 0.2]]


def frame(
    columns="forces:R:3",
    one="Na",
    two="Cl",
    number="0.1",
    entries="energy=-6.8",
    rest='pbc="T T F"',
):
    """Write one frame of NaCl with what is unusual in it."""
    lattice = 'Lattice="4.1 0 0 0 4.2 0 0 0 4.3"'
    return (
        f"2\n{lattice} Properties=species:S:1:pos:R:3:{columns} {entries} {rest}\n"
        f"{one} 0 0 0 {number} 0 -0.2\n{two} 2.05 2.1 2.15 -{number} 0 0.2\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        frame(number="1.0D-01", entries="energy=-6.8000D+00"),
        frame(number="1d-1", entries="energy=-0.68d1"),
        frame(one="Na1", two="Cl_12"),
        frame(columns="fx:R:1:fy:R:1:fz:R:1"),
        frame(columns="F_x:R:1:F_y:R:1:F_z:R:1"),
    ],
)
def test_what_means_one_thing_is_read(tmp_path, text):
    (path := tmp_path / "a.xyz").write_text(text)
    atoms = IndexedXYZ(path)[0]
    assert str(atoms.symbols) == "NaCl"
    assert atoms.pbc.tolist() == [True, True, False]
    assert atoms.calc.results["energy"] == -6.8
    np.testing.assert_allclose(atoms.calc.results["forces"], FORCES)


def test_forces_in_three_columns_keep_their_method_and_never_replace_others(tmp_path):
    (path := tmp_path / "a.xyz").write_text(frame(columns="dft_fx:R:1:dft_fy:R:1:dft_fz:R:1"))
    np.testing.assert_allclose(IndexedXYZ(path)[0].arrays["dft_forces"], FORCES)
    mixed = frame(columns="dft_fx:R:1:d3_fy:R:1:d3_fz:R:1")
    path.write_text(mixed)
    assert "dft_forces" not in IndexedXYZ(path)[0].arrays


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (frame(one="11", two="17"), "species '11', a number"),
        (frame(one="CA1"), "species 'CA1', which is no element"),
        (frame(number="0.1x"), "0.1x"),
        (frame(rest='comment="it\'s a test pbc="T T F"'), "not closed"),
        (frame().replace("\n", "\r"), "CR alone"),
    ],
)
def test_what_does_not_is_refused_by_its_cause(tmp_path, text, cause):
    (path := tmp_path / "a.xyz").write_bytes(text.encode())
    with pytest.raises(DataError, match=cause):
        IndexedXYZ(path)


def test_utf16_is_named(tmp_path):
    (path := tmp_path / "a.xyz").write_text(frame(), encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16"):
        IndexedXYZ(path)
