"""Errors of a model on other data: what is said where its reference energies know nothing of them."""

from __future__ import annotations

import warnings

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.training.outcome.evaluation import evaluate, evaluate_stages
from mattertune_nb.training.outcome.models import untuned_of


@pytest.fixture
def model() -> mt.FinetuneModuleBase:
    """Return a model whose references know copper alone."""
    given = mt.PerAtomReferencingNormalizerConfig(per_element_references={"Cu": 2.5})
    return mt.FinetuneModuleBase(MorseBackboneConfig(normalizers={"energy": [given]})).eval()


def with_oxygen(atoms):
    """Return the structure with one atom of another element, and its labels."""
    other = atoms.copy()
    other.symbols[0] = "O"
    other.calc = SinglePointCalculator(other, **atoms.calc.results)
    return other


def test_evaluate_warns_of_compositions_that_the_references_do_not_know(model, copper_xyz):
    copper = ase.io.read(copper_xyz, ":")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(model, as_dataset(copper))
    mixed = [*copper[:3], with_oxygen(copper[3]), with_oxygen(copper[4])]
    first = mixed[3].get_chemical_formula()
    with pytest.warns(UserWarning, match=rf"2 of 5 structures \(first: {first}\)"):
        evaluate(model, as_dataset(mixed), batch_size=2, max_atoms=None)


def test_the_three_stages_are_those_of_three_models_from_one_reading(morse_config, copper_xyz):
    """Untuned and re-referenced differ by energies alone, so the untuned model predicts once for both."""
    result = mt.MatterTuner(morse_config("run", max_epochs=2)).tune()
    data, seen = mt.open_dataset(copper_xyz), []
    stages = evaluate_stages(
        result.run.path, data, progress=lambda what, done, total: seen.append((what, done, total))
    )
    tuned = result.run.model()
    untuned = untuned_of(tuned)
    assert stages["tuned"] == pytest.approx(evaluate(tuned, data))
    assert stages["untuned"] == pytest.approx(evaluate(untuned, data))
    references = tuned.normalization.first_references
    errors = []
    for i in range(len(data)):
        atoms = data[i].copy()
        atoms.calc = untuned.ase_calculator()
        shifted = atoms.get_potential_energy() + float(references[atoms.numbers].sum())
        errors.append(abs(shifted - data.labels(i)["energy"]) / len(atoms))
    shown = stages["untuned, energies re-referenced"]
    assert shown["energy_per_atom_mae"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert shown["energy_per_atom_mae"] < stages["untuned"]["energy_per_atom_mae"]
    assert shown["forces_mae"] == stages["untuned"]["forces_mae"]
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("predicting", len(data), len(data))
