"""Sound data of many kinds of structures, about which the doctor says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc110, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cluster import Icosahedron, Octahedron

import mattertune_nb as mt
from mattertune_nb.doctor.predicted import untuned_model


@pytest.fixture(scope="module")
def untuned():
    return untuned_model("chgnet")


def labelled(atoms):
    atoms.calc = EMT()
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        labels["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def mixture(seed, metals, n=42):
    """Return crystals, slabs and clusters of several metals, rattled, with EMT's labels."""
    rng, frames = np.random.default_rng(seed), []
    for i in range(n):
        metal = metals[i % len(metals)]
        if i % 3 == 0:
            atoms = bulk(metal, cubic=True) * tuple(rng.integers(1, 3, 3))
            strain = rng.normal(scale=0.03, size=(3, 3))
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), True)
        elif i % 3 == 1:
            size = (int(rng.integers(1, 3)), 2, int(rng.integers(2, 5)))
            atoms = [fcc111, fcc110][i % 2](metal, size, vacuum=float(rng.choice([5, 7, 10])))
            atoms.pbc[2] = i % 4 == 1
        else:
            atoms = Octahedron(metal, 3) if i % 2 else Icosahedron(metal, 2)
        atoms.positions += rng.normal(scale=rng.choice([0.02, 0.1, 0.2]), size=(len(atoms), 3))
        frames.append(labelled(Atoms(atoms)))
    return frames


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.long) for k in (1, 2))])
@pytest.mark.parametrize("metals", [["Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al"], ["Cu"]])
def test_crystals_slabs_and_clusters_in_one_file(untuned, seed, metals):
    assert list(mt.check(mixture(seed, metals), untuned.hparams)) == []


def test_one_energy_and_forces_of_dimers_whose_atoms_are_named_the_other_way_round():
    frames = [
        labelled(Atoms(pair, [[0, 0, 0], [0, 0, 1.9 + 0.1 * k]]))
        for k in range(12)
        for pair in (["Cu", "Al"], ["Al", "Cu"])
    ]
    assert list(mt.check(frames)) == []


def test_displacements_for_phonons_are_no_duplicates():
    frames = []
    for i in range(6):
        for step in (0.01, -0.01):
            atoms = bulk("Cu", cubic=True) * (3, 3, 3)
            atoms.positions[i, i % 3] += step
            frames.append(labelled(atoms))
    assert list(mt.check(frames)) == []


def test_a_scan_of_the_volume_in_small_steps_has_no_differing_labels():
    frames = [labelled(bulk("Cu", a=3.8 + 0.008 * i, cubic=True)) for i in range(12)]
    assert list(mt.check(frames)) == []
