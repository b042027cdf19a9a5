"""Faults planted in real data, found with the untuned backbone; all files: `tests/benchmarks/doctor.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.doctor.check import findings_of, look_at

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from doctor import KINDS, has, is_found, planted


@pytest.fixture(scope="module")
def ethanol(untuned):
    """Return the shipped frames for validation, and what the untuned CHGNet says of them."""
    dataset = mt.XYZDatasetConfig(src=mt.demo_data("validation")).create_dataset()
    return dataset, look_at(dataset, untuned)


def test_the_clean_file_has_no_findings(ethanol):
    assert findings_of(ethanol[1]) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_fault_is_found_in_the_frames_in_which_it_is(ethanol, untuned, kind, seed):
    dataset, clean = ethanol
    if not kind.needs <= has(dataset):
        pytest.skip("molecules without a cell have no such label")
    data, chosen = planted(dataset, kind, np.random.default_rng(seed))
    known = None if kind.moves else clean.predicted
    findings = findings_of(look_at(data, untuned, predicted=known))
    assert is_found(kind, chosen, findings)


def changed(dataset, change):
    """Return a data set with each frame, and labels, as a function of both makes them."""
    frames = []
    for i in range(len(dataset)):
        atoms, labels = change(dataset[i], dict(dataset.labels(i)))
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset()


@pytest.mark.parametrize("factor", [0.25, 2.4, -0.3])
def test_a_slope_that_is_that_of_no_unit_warns_as_the_model_itself_may_be_off(
    ethanol, untuned, factor
):
    """Labels of another method may be softer; an error would say what nobody knows."""
    dataset, clean = ethanol
    data = changed(
        dataset, lambda atoms, labels: (atoms, labels | {"forces": factor * labels["forces"]})
    )
    findings = findings_of(look_at(data, untuned, predicted=clean.predicted))
    (found,) = [f for f in findings if f.id in {"forces-unit", "forces-sign"}]
    assert found.severity == "warning"
    assert "no unit that is known here" in found.message
    assert not found.settings


@pytest.mark.parametrize("sort_key", ["symbol", "number"])
@pytest.mark.parametrize("only_forces", [True, False])
def test_forces_or_atoms_alone_sorted_by_element_are_found(ethanol, untuned, sort_key, only_forces):
    dataset = ethanol[0]
    mix = np.random.default_rng(0).permutation(9)

    def sort(atoms, labels):
        atoms, forces = atoms[mix], labels["forces"][mix]
        keys = atoms.symbols if sort_key == "symbol" else atoms.numbers
        order = np.argsort(np.array(keys), kind="stable")
        if only_forces:
            return atoms, {"forces": forces[order]}
        return atoms[order], {"forces": forces}

    findings = findings_of(look_at(changed(dataset, sort), untuned))
    (found,) = [finding for finding in findings if finding.severity == "error"]
    assert found.id == "reordered-forces"
    assert len(found.frames) > 0.8 * len(dataset)


def test_an_element_that_the_backbone_does_not_know_is_an_error():
    report = mt.check([Atoms("Am", cell=[4, 4, 4], pbc=True)], "chgnet")
    assert [f.id for f in report.errors] == ["unknown-element"]
    assert "Am" in report.errors[0].message


def test_forces_shuffled_in_a_few_large_frames_are_found(untuned):
    """In many atoms some order always fits: it is told by the other frames of the composition."""
    rng, frames = np.random.default_rng(0), []
    for i in range(16):
        atoms = bulk("Cu", cubic=True) * (2, 2, 2)
        atoms.rattle(0.15, seed=i)
        atoms.calc = EMT()
        forces, energy = atoms.get_forces(), atoms.get_potential_energy()
        # a model that is right to a correlation of 0.9
        forces += rng.normal(scale=0.45 * forces.std(), size=forces.shape)
        forces -= forces.mean(axis=0)
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy, forces=rng.permutation(forces) if i in (3, 8, 11) else forces
        )
        frames.append(atoms)
    case = look_at(mt.AtomsListDatasetConfig(atoms_list=frames).create_dataset(), untuned)
    found = [finding for finding in findings_of(case) if finding.id == "reordered-forces"]
    assert [finding.frames for finding in found] == [(3, 8, 11)]
