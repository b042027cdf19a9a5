"""The lines for LAMMPS, and for backbones without a pair style the reason and another way."""

from __future__ import annotations

import inspect

import pytest

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
