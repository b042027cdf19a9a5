"""Files of GPUMD, as dpdata writes them and as its manual has them, are read to the last digit."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase.build import bulk
from ase.stress import voigt_6_to_full_3x3_stress

import mattertune_nb as mt
from mattertune_nb.training.template import first_config

dpdata = pytest.importorskip("dpdata")


@pytest.fixture
def written(tmp_path):
    """Write a strained cell with dpdata; return the file, the structure and its labels."""
    rng = np.random.default_rng(0)
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    atoms.set_cell(atoms.cell.array + rng.normal(scale=0.05, size=(3, 3)), scale_atoms=True)
    atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
    forces, stress = rng.normal(size=(4, 3)), rng.normal(scale=0.01, size=6)
    system = dpdata.LabeledSystem(
        data={
            "atom_names": ["Na", "Cl"],
            "atom_numbs": [2, 2],
            "atom_types": np.array([0, 1, 0, 1]),
            "cells": atoms.cell.array[None],
            "coords": atoms.positions[None],
            "energies": np.array([-13.6]),
            "forces": forces[None],
            "virials": -atoms.get_volume() * voigt_6_to_full_3x3_stress(stress)[None],
            "orig": np.zeros(3),
        }
    )
    dpdata.MultiSystems(system).to("gpumd/xyz", str(tmp_path / "train.xyz"))
    return tmp_path / "train.xyz", atoms, {"energy": -13.6, "forces": forces, "stresses": stress}


def check(dataset, atoms, labels):
    found = dataset.labels(0)
    assert found.keys() == labels.keys()
    for name, value in labels.items():
        np.testing.assert_allclose(found[name], value, atol=1e-10)
    np.testing.assert_allclose(dataset.frame(0).positions, atoms.positions, atol=1e-10)
    assert dataset.frame(0).get_chemical_symbols() == ["Na", "Cl", "Na", "Cl"]
    assert dataset.frame(0).pbc.all()


def test_what_dpdata_writes_for_gpumd_is_read(written):
    path, atoms, labels = written
    check(mt.open_dataset(path), atoms, labels)


def test_the_form_of_gpumd_s_manual_is_read_with_its_virial(written):
    # keywords in small letters, 'force' for the forces, a virial and no pbc
    path, atoms, labels = written
    text = re.sub(r'(stress|pbc)="[^"]*"\s*', "", path.read_text())
    for old, new in (("Lattice", "lattice"), ("Properties", "properties"), ("forces:R", "force:R")):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    check(mt.open_dataset(path, forces_key="force", stress_key="virial"), atoms, labels)
    first = first_config(path, "chgnet")
    assert not first.questions
    assert "forces_key: force\n" in first.text
    assert "stress_key: virial  would take stress = -virial / volume" in first.text
