"""Faults in layers and slabs, whose vacuum has any thickness."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import molecule, mx2
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.doctor.check import findings_of, look_at


def layers(n=12):
    """Return rattled layers of MoS2 in the middle of a periodic cell."""
    frames = []
    for seed in range(n):
        atoms = mx2(vacuum=8.0, size=(2, 2, 1))
        atoms.pbc = True
        atoms.rattle(0.06, seed=seed)
        frames.append(atoms)
    return frames


def without_labels(report):
    """Return the findings about the structures alone."""
    return [finding for finding in report if finding.id != "missing-label"]


def test_a_layer_in_a_cell_in_bohr_is_told():
    assert not without_labels(mt.check(layers()))
    frames = layers()
    for atoms in frames:
        atoms.set_cell(atoms.cell.array / units.Bohr)
    (finding,) = without_labels(mt.check(frames))
    assert finding.message.startswith("the cells are in Bohr")


def test_a_flat_molecule_at_the_corner_of_its_box_is_no_layer_in_bohr():
    frames = []
    for seed in range(12):
        atoms = molecule("C6H6")
        atoms.positions -= atoms.positions.min(axis=0)
        atoms.set_cell([9.5, 10.5, 16.0])
        atoms.pbc = True
        atoms.rattle(0.03, seed=seed)
        frames.append(atoms)
    assert not without_labels(mt.check(frames))


def test_a_layer_torn_by_its_cell_is_told_and_more_vacuum_is_none():
    frames = layers()
    frames[3].set_cell(frames[3].cell.array * 1.6)
    frames[7].cell[2] *= 1.5
    (finding,) = without_labels(mt.check(frames))
    assert (finding.id, finding.frames) == ("wrong-cell", (3,))


@pytest.fixture(scope="module")
def predicted(untuned):
    """Return layers with the untuned model's labels, nearly."""
    rng, frames = np.random.default_rng(0), layers()
    results = untuned.property_predictor().stream(as_dataset(frames), ["energy", "forces"])
    for atoms, (_, result) in zip(frames, results, strict=True):
        forces = np.asarray(result["forces"])
        forces = forces + rng.normal(scale=0.2 * forces.std(), size=forces.shape)
        atoms.calc = SinglePointCalculator(
            atoms, energy=float(result["energy"]), forces=forces - forces.mean(axis=0)
        )
    return frames


def exchanged(frames):
    """Return structures with molybdenum for sulphur, and the same labels."""
    found = []
    for atoms in frames:
        other = atoms.copy()
        other.numbers = np.where(atoms.numbers == 42, 16, 42)
        other.calc = SinglePointCalculator(other, **atoms.calc.results)
        found.append(other)
    return found


def test_exchanged_elements_are_told_where_forces_are_like_the_prediction_all_the_same(
    predicted, untuned
):
    assert not [
        f for f in findings_of(look_at(as_dataset(predicted), untuned)) if f.severity == "error"
    ]
    case = look_at(as_dataset(exchanged(predicted)), untuned)
    assert case.forces.usual > 0.8
    assert "exchanged-elements" in {finding.id for finding in findings_of(case)}
