"""What a file holds, against counts made frame by frame with ASE."""

from __future__ import annotations

import itertools

import ase.io
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.data.contents import read_contents, spread


def dataset(path, **fields):
    return mt.XYZDatasetConfig(src=path, **fields).create_dataset()


def test_the_demo_is_counted_as_ase_counts_it():
    path = mt.demo_data("train")
    frames = ase.io.read(path, ":")
    found = list(read_contents(dataset(path)))[-1]
    assert found.is_complete
    assert found.n_frames == len(frames) == 160
    assert set(found.elements) == {s for atoms in frames for s in atoms.symbols}
    assert found.n_atoms == (9, 9)
    assert found.labels == {"energy": 160, "forces": 160, "stresses": 0}


@pytest.fixture
def mixed(tmp_path):
    """Return a file of which some frames lack some labels."""
    metal, gas = bulk("Cu", cubic=True), Atoms("OH", [[0, 0, 0], [0, 0, 1]])
    metal.calc = SinglePointCalculator(metal, energy=1.0, stress=[0.1] * 6)
    gas.calc = SinglePointCalculator(gas, energy=2.0, forces=[[0, 0, 1], [0, 0, -1]])
    ase.io.write(tmp_path / "mixed.xyz", [metal, gas, gas], format="extxyz")
    return tmp_path / "mixed.xyz"


def test_frames_that_lack_a_label_are_not_counted_for_it(mixed):
    found = list(read_contents(dataset(mixed)))[-1]
    assert found.labels == {"energy": 3, "forces": 2, "stresses": 1}
    assert found.n_atoms == (2, 4)
    assert found.elements == ("H", "O", "Cu")
    part = list(read_contents(dataset(mixed, index="1:")))[-1]
    assert (part.n_frames, part.labels["stresses"]) == (2, 0)


def test_a_label_is_looked_for_under_the_name_that_is_set(mixed):
    found = list(read_contents(dataset(mixed, energy_key="E")))[-1]
    assert found.keys["energy"] == "E"
    assert found.labels["energy"] == 0


def test_a_long_file_is_reported_on_while_it_is_read_and_not_read_for_ever():
    reports = []
    for found in read_contents(dataset(mt.demo_data("train")), every=0.0, at_most=0.0):
        reports.append(found.n_read)
    assert reports[0] < 160
    assert not found.is_complete


@pytest.mark.parametrize("n", [0, 1, 2, 7, 64, 100])
def test_frames_are_read_once_each_and_any_beginning_is_spread(n):
    order = list(spread(n))
    assert sorted(order) == list(range(n))
    if n == 100:
        gaps = sorted(order[:16])
        assert max(b - a for a, b in itertools.pairwise(gaps)) <= 16
