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


def test_strains_that_a_symmetry_turns_into_each_other_may_have_one_energy():
    frames = []
    for axis in range(3):
        for stretch in (0.98, 1.02):
            atoms = bulk("Cu", cubic=True)
            cell = atoms.cell.array
            cell[axis] *= stretch
            atoms.set_cell(cell, scale_atoms=True)
            frames.append(labelled(atoms))
            frames[-1].calc.results["energy"] = round(frames[-1].calc.results["energy"], 6)
    assert list(mt.check(frames)) == []


def test_the_last_steps_of_a_relaxation_are_no_duplicates_but_a_frame_written_twice_is():
    frames = []
    for k in range(6):
        atoms = bulk("Cu", cubic=True) * (2, 2, 2)
        atoms.positions[0, 0] += 0.02 * 0.2**k
        frames.append(labelled(atoms))
    assert list(mt.check(frames)) == []
    (found,) = mt.check([*frames, frames[2]])
    assert found.id == "duplicates"


def test_elements_are_rare_where_others_are_not():
    metals = ["Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al"]
    many = [labelled(bulk(metals[k % 7], cubic=True)) for k in range(14)]
    assert "rare-element" not in {f.id for f in mt.check(many * 3)}
    alike = [labelled(bulk("Cu", a=3.5 + 0.005 * k, cubic=True)) for k in range(40)]
    (found,) = mt.check(
        [*alike, labelled(bulk("Au", cubic=True)), labelled(bulk("Pt", cubic=True))]
    )
    assert found.id == "rare-element"
    assert found.frames == (40, 41)


def test_dimers_in_a_box_beside_crystals_have_no_wrong_cell():
    crystals = [labelled(bulk("Cu", a=3.5 + 0.02 * k, cubic=True)) for k in range(12)]
    dimers = [
        labelled(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.1 + 0.1 * k]], cell=[15] * 3, pbc=True))
        for k in range(4)
    ]
    assert list(mt.check([*crystals, *dimers])) == []


def alloys(n=24):
    """Return rattled and strained Cu–Au, of which EMT and CHGNet say much the same, to half."""
    rng, frames = np.random.default_rng(2), []
    for _ in range(n):
        atoms = bulk("Au", cubic=True) * (1, 1, 2)
        atoms.symbols[:4] = "Cu"
        strain = rng.normal(scale=0.02, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), True)
        atoms.positions += rng.normal(scale=0.08, size=(len(atoms), 3))
        frames.append(labelled(atoms))
    return frames


def test_a_softer_potential_is_in_no_other_unit(untuned):
    assert list(mt.check(alloys(), untuned.hparams)) == []


@pytest.mark.parametrize(
    ("label", "factor", "expected"),
    [
        ("energy", 1 / 27.2114, "energy-unit"),
        ("energy", 23.06, "energy-unit"),
        ("energy", -1.0, "energy-sign"),
        ("forces", 23.06, "forces-unit"),
        ("forces", -1.0, "forces-sign"),
    ],
)
def test_units_are_told_where_the_model_is_a_rough_guide_only(untuned, label, factor, expected):
    frames = mixture(0, ["Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al"])
    for atoms in frames:
        atoms.calc.results[label] = factor * atoms.calc.results[label]
    assert expected in {finding.id for finding in mt.check(frames, untuned.hparams)}


def test_a_constant_pressure_of_another_potential_is_no_stress_of_the_other_sign(untuned):
    frames = alloys()
    for atoms in frames:  # of another equilibrium volume
        atoms.calc.results["stress"] = atoms.calc.results["stress"] - 0.3 * np.array(
            [1, 1, 1, 0, 0, 0]
        )
    found = {f.id for f in mt.check(frames, untuned.hparams)}
    assert not found & {"stress-sign", "stress-is-virial"}
