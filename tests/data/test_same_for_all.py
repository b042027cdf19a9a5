"""What holds for all frames of a data set stands in the info of those that do not say it themselves."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import units

import mattertune_nb as mt


@pytest.fixture
def mixed(copper, tmp_path):
    """Return a file of which the second frame says its own charge."""
    frames = copper(3)
    frames[1].info["charge"] = -1
    ase.io.write(tmp_path / "mixed.xyz", frames)
    return tmp_path / "mixed.xyz"


INFO = {"charge": 1, "head": "r2SCAN"}


def charges_and_heads(dataset):
    seen = [dataset.structure(i, ("charge", "head")).info for i in range(len(dataset))]
    return [(info["charge"], info["head"]) for info in seen]


def test_a_frame_that_says_it_itself_keeps_its_own(mixed):
    dataset = mt.XYZDatasetConfig(src=mixed, info=INFO).create_dataset()
    assert charges_and_heads(dataset) == [(1, "r2SCAN"), (-1, "r2SCAN"), (1, "r2SCAN")]
    plain = mt.XYZDatasetConfig(src=mixed).create_dataset()
    for i in range(3):
        assert dataset.labels(i)["energy"] == plain.labels(i)["energy"]
        np.testing.assert_array_equal(dataset.labels(i)["forces"], plain.labels(i)["forces"])


def test_structures_of_a_list_have_it_and_those_given_do_not_change(mixed):
    frames = ase.io.read(mixed, ":")
    dataset = mt.AtomsListDatasetConfig(atoms_list=frames, info=INFO).create_dataset()
    assert charges_and_heads(dataset)[1] == (-1, "r2SCAN")
    assert "head" not in frames[0].info


def test_it_goes_through_yaml(mixed):
    config = mt.XYZDatasetConfig(src=mixed, info=INFO)
    assert mt.XYZDatasetConfig(**config.to_dict()).info == INFO


def test_frames_in_other_units_still_know_their_file_and_their_size(mixed, tmp_path):
    ase.io.write(tmp_path / "more.xyz", ase.io.read(mixed, ":2"))
    both = [mixed, tmp_path / "more.xyz"]
    plain = mt.XYZDatasetConfig(src=both).create_dataset()
    config = mt.XYZDatasetConfig(src=both, units={"length": "Bohr"}, info=INFO)
    dataset = config.create_dataset()
    assert dataset.source(4) == f"{tmp_path / 'more.xyz'}, frame 1"
    assert dataset.files() == both
    assert [dataset.file(i) for i in range(5)] == [plain.file(i) for i in range(5)]
    assert dataset.n_atoms().tolist() == plain.n_atoms().tolist()
    positions = dataset.frame(4).positions
    np.testing.assert_allclose(positions, plain.frame(4).positions * units.Bohr)
    assert dataset.block(0) is None, "its text is in Bohr, from which no frame is to be known again"
    assert plain.block(0) is not None
