"""A card beside the weights says what numpy, ASE and the run's record say, and what it is not for."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import yaml
from ase.io import read, write

import mattertune_nb as mt
from mattertune_nb.training.outcome.model_card import card_html, model_card, write_model_card


@pytest.fixture
def run(morse_config):
    return mt.MatterTuner(morse_config(max_epochs=2)).tune().run


def test_each_run_writes_one_in_yaml_and_html(run):
    card = yaml.safe_load(run.directory.card_file.read_text())
    assert card["name"] == run.name
    assert card["model"]["backbone"] == "morse"
    assert card["versions"]["python"]
    assert card["settings"]["trainer"]["max_epochs"] == 2
    page = (run.path / "model_card.html").read_text()
    assert f"<h1>{run.name}: model card</h1>" in page
    assert "src=" not in page, "it needs nothing but itself"


def test_ranges_are_those_of_the_frames_that_were_trained_on(run, copper_xyz):
    frames = [read(copper_xyz, ":")[i] for i in run.directory.splits()["train"]]
    data = model_card(run.directory)["data"]
    volumes = [atoms.get_volume() / len(atoms) for atoms in frames]
    assert data["volume_A3_per_atom"] == pytest.approx([min(volumes), max(volumes)], abs=1e-3)
    forces = max(np.linalg.norm(atoms.get_forces(), axis=1).max() for atoms in frames)
    assert data["largest_force_eV_per_A"] == pytest.approx(forces, abs=1e-3)
    assert data["elements"] == ["Cu"]
    assert data["atoms_a_frame"] == [4, 8]
    assert data["training_frames"] == 9
    (source,) = data["sources"]
    assert source["sha256"] == hashlib.sha256(copper_xyz.read_bytes()).hexdigest()


def test_errors_are_those_of_the_record_and_of_ase(run, copper_xyz):
    errors = model_card(run.directory)["errors"]["forces (meV/Å)"]
    frames = [read(copper_xyz, ":")[i] for i in run.directory.splits()["validation"]]
    for stage, model in (
        ("untuned", mt.FinetuneModuleBase(run.config().model)),
        ("tuned", run.model()),
    ):
        calculator = model.ase_calculator()
        wrong = [calculator.get_property("forces", a.copy()) - a.get_forces() for a in frames]
        assert errors[stage] == pytest.approx(1e3 * np.abs(np.concatenate(wrong)).mean(), rel=2e-3)


def test_temperatures_are_those_of_the_frames(morse_config, copper_xyz):
    frames = read(copper_xyz, ":")
    for k, atoms in enumerate(frames):
        atoms.info["temperature_K"] = 300.0 + 10 * k
    write(copper_xyz, frames, format="extxyz")
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    trained = run.directory.splits()["train"]
    expected = [300.0 + 10 * min(trained), 300.0 + 10 * max(trained)]
    assert model_card(run.directory)["data"]["temperature_K"] == expected


def test_of_weights_that_are_not_known_it_claims_no_licence(run):
    assert model_card(run.directory)["model"]["licence_of_the_weights"] == "not known"


def test_it_says_what_the_model_is_not_for(run):
    said = " | ".join(model_card(run.directory)["not_for"])
    assert "elements other than Cu" in said
    assert "variable cells: the stress was not trained" in said
    low, high = model_card(run.directory)["data"]["volume_A3_per_atom"]
    assert f"volumes outside {low:g} to {high:g} Å³ per atom" in said


def test_of_chgnet_it_knows_licence_and_training_data(tmp_path):
    config = mt.demo_config(tmp_path, "run")
    config.data.train.index = config.data.validation.index = ":4"
    config.trainer.max_epochs = 1
    run = mt.MatterTuner(config).tune().run
    card = model_card(run.directory)
    assert "BSD" in card["model"]["licence_of_the_weights"]
    assert "MPtrj" in card["model"]["pretrained_on"]
    assert card["elsewhere"]["structures"] == 36
    assert "holes" in card["elsewhere"]
    assert any("no frame was periodic" in line for line in card["not_for"])
    # a stage that goes on from it, and is told apart from it
    second = config.model_copy(deep=True)
    second.run.name, second.model.checkpoint = "second", run.path
    model = model_card(mt.MatterTuner(second).tune().run.directory)["model"]
    assert model.pop("tuned_from") == str(run.path)
    assert model == card["model"]


@pytest.mark.usefixtures("counted_time")
def test_a_scorecard_enters_it(run):
    run.validate(seconds=2.0)
    card = yaml.safe_load(run.directory.card_file.read_text())
    assert card["scorecard"]["rotated structures"].startswith("pass")


def test_what_cannot_be_read_again_costs_only_its_lines(run, copper_xyz):
    copper_xyz.unlink()
    assert write_model_card(run.directory) is not None
    data = model_card(run.directory)["data"]
    assert "could not be read again" in data["note"]
    assert data["training_frames"] == 9


def test_the_page_has_units_where_the_yaml_has_names():
    page = card_html({"name": "a", "data": {"volume_A3_per_atom": [11.2, 12.0]}})
    assert "Volume (Å³/atom), from and to</td><td>11.2, 12.0" in page


def test_contents_are_shown_as_text():
    page = card_html({"name": "<b>x", "data": {"source": "<script>"}, "settings": {"a": "</pre>"}})
    assert "<script>" not in page
    assert "<b>x" not in page
    assert page.count("</pre>") == 1
