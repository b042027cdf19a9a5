"""Faults planted in real data, found with the untuned backbone; all files: `tests/benchmarks/doctor.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import mattertune_nb as mt
from mattertune_nb.doctor.check import findings_of, look_at, untuned_model

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from doctor import KINDS, has, is_found, planted


@pytest.fixture(scope="module")
def ethanol():
    """Return the shipped frames for validation, and what the untuned CHGNet says of them."""
    dataset = mt.XYZDatasetConfig(src=mt.demo_data("validation")).create_dataset()
    return dataset, look_at(dataset, untuned_model("chgnet"))


def test_the_clean_file_has_no_findings(ethanol):
    assert findings_of(ethanol[1]) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_fault_is_found_in_the_frames_in_which_it_is(ethanol, kind, seed):
    dataset, clean = ethanol
    if not kind.needs <= has(dataset):
        pytest.skip("molecules without a cell have no such label")
    data, chosen = planted(dataset, kind, np.random.default_rng(seed))
    findings = findings_of(look_at(data, predicted=None if kind.moves else clean.predicted))
    assert is_found(kind, chosen, findings)


def test_an_element_that_the_backbone_does_not_know_is_an_error():
    report = mt.check([Atoms("Am", cell=[4, 4, 4], pbc=True)], "chgnet")
    assert [f.id for f in report.errors] == ["unknown-element"]
    assert "Am" in report.errors[0].message
