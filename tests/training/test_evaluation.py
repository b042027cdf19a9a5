"""Errors of a model on other data: what is said where its reference energies know nothing of them."""

from __future__ import annotations

import warnings

import ase.io
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.training.outcome.evaluation import evaluate


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
