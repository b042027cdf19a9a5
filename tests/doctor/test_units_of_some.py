"""Labels of which some are in another unit, or have the other sign."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.doctor.check import findings_of, look_at
from mattertune_nb.doctor.predicted import predicted_as

COHESIVE = 3.6  # eV/atom; EMT's zero is the crystal


def crystals(n=24, metals=("Cu", "Ag")):
    """Return rattled crystals from strong compression to expansion, with EMT's labels."""
    frames = []
    for i in range(n):
        metal = metals[i % len(metals)]
        atoms = bulk(metal, cubic=True)
        atoms.set_cell(atoms.cell.array * (0.86 + 0.008 * i), scale_atoms=True)
        atoms.rattle(0.05, seed=i)
        frames.append(labelled(atoms))
    return frames


def labelled(atoms, **factors):
    """Return a structure with EMT's labels, each multiplied by a factor."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    labels = {
        "energy": atoms.get_potential_energy() - COHESIVE * len(atoms),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(
        atoms, **{name: value * factors.get(name, 1.0) for name, value in labels.items()}
    )
    return atoms


def some(frames, which, **factors):
    """Return frames of which some have labels multiplied by factors."""
    return [labelled(a, **factors) if i in which else a for i, a in enumerate(frames)]


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1 / units.Hartree, "Hartree"), (1 / units.Ry, "Ry"), (units.mol / units.kcal, "kcal/mol")],
)
@pytest.mark.parametrize("n_odd", [4, 10])
def test_energies_in_two_units_are_told_without_a_model(factor, unit, n_odd):
    frames = crystals()
    assert not [f for f in mt.check(frames) if f.id == "mixed-units"]
    odd = set(np.random.default_rng(0).choice(len(frames), n_odd, replace=False).tolist())
    (finding,) = [f for f in mt.check(some(frames, odd, energy=factor)) if f.id == "mixed-units"]
    assert set(finding.frames) == odd
    assert f" are in {unit}: " in finding.message


def test_energies_per_atom_among_totals_are_told():
    frames = crystals(metals=("Cu",))
    frames = [labelled(atoms * (3, 2, 1)) for atoms in frames]
    odd = {2, 5, 11, 17}
    (finding,) = [f for f in mt.check(some(frames, odd, energy=1 / 24)) if f.id == "mixed-units"]
    assert set(finding.frames) == odd
    assert "eV/atom" in finding.message


def test_energies_about_zero_are_in_one_unit():
    frames = [labelled(a, energy=0.0) for a in crystals()]
    for atoms in frames:
        atoms.calc.results["energy"] += np.random.default_rng(len(atoms)).normal()
    rng = np.random.default_rng(0)
    for atoms in frames:
        atoms.calc.results["energy"] = float(rng.normal())
    assert not [f for f in mt.check(frames) if f.id == "mixed-units"]


def check_with_truth(given, frames):
    """Return the findings of labels beside predictions that are off by a little."""
    rng = np.random.default_rng(0)
    truth = []
    for atoms in frames:
        forces, stress = atoms.get_forces(), atoms.get_stress()
        truth.append(
            {
                "energy": atoms.get_potential_energy(),
                "forces": forces * (1 + 0.05 * rng.normal())
                + rng.normal(scale=0.1 * forces.std(), size=forces.shape),
                "stresses": stress + rng.normal(scale=0.05 * np.abs(stress).max(), size=6),
            }
        )
    case = look_at(as_dataset(given), predicted=predicted_as(np.arange(len(frames)), truth))
    return findings_of(case)


def test_forces_of_some_frames_in_ev_per_bohr_are_told():
    frames = [labelled(atoms * (2, 1, 1)) for atoms in crystals()]
    assert not [f for f in check_with_truth(frames, frames) if f.id == "forces-unit"]
    odd = {3, 8, 14, 20}
    found = check_with_truth(some(frames, odd, forces=units.Bohr), frames)
    (finding,) = [f for f in found if f.id == "forces-unit"]
    assert odd.issuperset(finding.frames)
    assert len(finding.frames) >= 3


def test_a_kind_of_structure_of_which_a_model_is_that_far_off_is_in_no_other_unit():
    frames = [labelled(atoms * (2, 1, 1)) for atoms in crystals(metals=("Cu",))]
    slabs = []
    for seed in range(6):
        atoms = fcc111("Cu", (2, 2, 2), vacuum=7.0, periodic=True)
        atoms.rattle(0.1, seed=seed)
        slabs.append(labelled(atoms))
    softer = some(frames + slabs, range(24, 30), forces=units.Bohr)
    assert not [f for f in check_with_truth(softer, frames + slabs) if f.id == "forces-unit"]


def test_a_single_stress_of_the_other_sign_is_told():
    frames = crystals()
    assert not [f for f in check_with_truth(frames, frames) if f.id == "stress-unit"]
    found = check_with_truth(some(frames, {2}, stress=-1.0), frames)
    (finding,) = [f for f in found if f.id == "stress-unit"]
    assert finding.frames == (2,)
