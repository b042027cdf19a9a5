"""Isolated atoms are references: no frames of training or of validation."""

from __future__ import annotations

import ase.io
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.data import isolated
from mattertune_nb.data.contents import read_contents
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.data.isolated import is_isolated_atom, without_isolated_atoms
from mattertune_nb.training.template import first_config


def atom(symbol="Cu", energy=-0.25, **info):
    atoms = Atoms(symbol, [[0, 0, 0]], info=info)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=[[0, 0, 0]])
    return atoms


def test_what_is_an_isolated_atom():
    boxed = Atoms("Na", cell=[20, 20, 20], pbc=True, info={"config_type": "IsolatedAtom"})
    assert is_isolated_atom(atom())
    assert is_isolated_atom(boxed)
    assert is_isolated_atom(Atoms("Na", cell=[12, 13, 14], pbc=True))
    assert is_isolated_atom(Atoms("Na", cell=[4, 12, 4], pbc=[False, True, False]))
    assert not is_isolated_atom(Atoms("Na", cell=[12, 4, 12], pbc=True))
    assert not is_isolated_atom(bulk("Cu"))
    assert not is_isolated_atom(Atoms("Cu2", [[0, 0, 0], [0, 0, 2]]))


def test_they_are_left_out_and_said_with_their_energies(copper):
    parts = {"train": as_dataset([*copper(3), atom()]), "validation": as_dataset(copper(2))}
    kept, (note,) = without_isolated_atoms(parts)
    assert [len(kept[k]) for k in ("train", "validation")] == [3, 2]
    assert "1 isolated atom (Cu -0.25 eV) left out" in note


def test_a_run_neither_trains_on_them_nor_validates_on_them(copper, tmp_path):
    frames = [*copper(8), atom(), atom(energy=-0.3)]
    ase.io.write(tmp_path / "a.xyz", frames)
    config = mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=tmp_path / "a.xyz"))
    data = mt.MatterTuneDataModule(config)
    data.setup("fit")
    found = [d.frame(i) for d in data.datasets.values() for i in range(len(d))]
    assert len(found) == 8
    assert not any(map(is_isolated_atom, found))
    assert any("isolated atom" in note for note in data.notes)


@pytest.mark.parametrize("n", [1, 3])
def test_a_set_of_nothing_else_is_left_as_it_is(n):
    kept, notes = without_isolated_atoms({"train": as_dataset([atom() for _ in range(n)])})
    assert (len(kept["train"]), notes) == (n, [])


@pytest.mark.parametrize("kind", ["file", "named"])
def test_they_are_frames_where_a_config_says_so(kind, copper, tmp_path):
    ase.io.write(tmp_path / "a.xyz", [*copper(8), atom(), atom(energy=-0.3)])
    source = mt.XYZDatasetConfig(src=tmp_path / "a.xyz", isolated_atoms="frames")
    config = mt.AutoSplitDataModuleConfig(dataset=source)
    if kind == "named":
        others = mt.AtomsListDatasetConfig(atoms_list=[bulk("Cu", a=3.9)])
        config = mt.ManualSplitDataModuleConfig(train=others, validation={"here": source})
    data = mt.MatterTuneDataModule(config)
    data.setup("fit")
    found = [d.frame(i) for d in data.datasets.values() for i in range(len(d))]
    assert sum(map(is_isolated_atom, found)) == 2
    assert not any("isolated atom" in note for note in data.notes)


def test_init_says_that_they_are_left_out(copper, tmp_path):
    ase.io.write(tmp_path / "a.xyz", [*copper(8), atom()])
    (note,) = [n for n in first_config(tmp_path / "a.xyz", "chgnet").notes if "isolated" in n]
    assert "1 isolated atom (Cu -0.25 eV) left out" in note
    assert "isolated_atoms: frames keeps them" in note
    assert (
        "#   per_element_references: isolated_atoms"
        in first_config(tmp_path / "a.xyz", "chgnet").text
    )


def test_init_looks_for_them_once(copper, tmp_path, monkeypatch):
    ase.io.write(tmp_path / "a.xyz", [*copper(8), atom()])
    looked, look = [], isolated._isolated
    monkeypatch.setattr(isolated, "_isolated", lambda data: looked.append(data) or look(data))
    first_config(tmp_path / "a.xyz", "chgnet")
    assert len(looked) == 1


def test_a_form_offers_them_where_there_is_one_of_each_element(copper, tmp_path):
    ase.io.write(tmp_path / "a.xyz", [*copper(3), atom()])
    *_, whole = read_contents(mt.open_dataset(tmp_path / "a.xyz"))
    assert whole.has_references
    assert whole.isolated == {"Cu": -0.25}
    assert any("1 isolated atom (Cu -0.25 eV) left out" in note for note in whole.notes)
    ase.io.write(tmp_path / "b.xyz", [*copper(3), Atoms("Na2", [[0, 0, 0], [0, 0, 3]]), atom()])
    *_, part = read_contents(mt.open_dataset(tmp_path / "b.xyz"))
    assert not part.has_references
