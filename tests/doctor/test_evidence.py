"""Of several values that may be a label, the untuned backbone knows which."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import yaml

import mattertune_nb as mt
from mattertune_nb.training.template import first_config
from mattertune_nb.widgets.forms.label_keys import LabelKeyFiller


@pytest.fixture
def frames():
    """Return labelled frames without ASE's standard names, whose energy and forces stand under odd ones."""
    frames = ase.io.read(mt.demo_data("train"), ":16")
    for atoms in frames:
        results, atoms.calc = atoms.calc.results, None
        atoms.info["dft_energy"] = results["energy"]
        atoms.arrays["dft_forces"] = results["forces"]
    return frames


def written(frames, tmp_path):
    ase.io.write(tmp_path / "a.xyz", frames)
    first = first_config(tmp_path / "a.xyz", "chgnet")
    return first, yaml.safe_load(first.text)["data"]["dataset"]


def test_what_agrees_with_the_prediction_is_taken_and_said(frames, tmp_path):
    rng = np.random.default_rng(0)
    for atoms in frames:
        atoms.info["pbe_energy"] = atoms.info["dft_energy"] + rng.normal(scale=5.0)
    first, dataset = written(frames, tmp_path)
    assert dataset["energy_key"] == "dft_energy"
    assert not first.questions
    (note,) = [note for note in first.notes if "untuned chgnet" in note]
    assert "'dft_energy' is used as the energy: it agrees with untuned chgnet (slope " in note
    assert "'pbe_energy' has slope " in note


def test_where_two_agree_a_person_is_asked_with_the_numbers(frames, tmp_path):
    for atoms in frames:
        atoms.info["pbe_energy"] = 1.01 * atoms.info["dft_energy"]
    first, dataset = written(frames, tmp_path)
    assert dataset["energy_key"] is None
    (question,) = first.questions
    assert question.count("with untuned chgnet") == 2


def test_a_backbone_that_would_be_fetched_is_not_asked(frames, tmp_path, monkeypatch):
    def fails(*_):
        raise AssertionError

    monkeypatch.setattr("mattertune_nb.doctor.evidence.untuned_model", fails)
    from mattertune_nb.data.contents import search_labels
    from mattertune_nb.doctor.evidence import decide

    for atoms in frames:
        atoms.info["pbe_energy"] = atoms.info["dft_energy"] - 5.0
    ase.io.write(tmp_path / "a.xyz", frames)
    data = mt.open_dataset(tmp_path / "a.xyz")
    choices = search_labels(data, at_most=9.0).choices()
    decide(data, choices, "mace")
    assert len(choices["energy"].open) == 2


def test_the_form_and_the_check_know_it_too(frames, tmp_path):
    rng = np.random.default_rng(0)
    for atoms in frames:
        atoms.info["pbe_energy"] = atoms.info["dft_energy"] + rng.normal(scale=5.0)
    ase.io.write(tmp_path / "a.xyz", frames)
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=tmp_path / "a.xyz")),
    )
    filler = LabelKeyFiller()
    filler.fill(config)
    assert config.data.dataset.energy_key is None
    assert filler.questions["dataset"]
    filler.wait()
    assert filler.fill(config)
    assert config.data.dataset.energy_key == "dft_energy"
    assert not filler.questions["dataset"]
    ids = [
        {finding.id for finding in mt.check(tmp_path / "a.xyz", backbone=name)}
        for name in (None, "chgnet")
    ]
    assert ["label-candidates" in found for found in ids] == [True, False]
