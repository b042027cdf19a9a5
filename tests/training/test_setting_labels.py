"""What people call the settings of runs is what the forms call them."""

from __future__ import annotations

import json

import pytest

import mattertune_nb as mt
from mattertune_nb.training.records.summary import flat_settings
from mattertune_nb.training.setting_labels import Called


def settings_of(config) -> dict:
    """Return all settings of a config by their dotted path, as a summary of a run holds them."""
    return flat_settings(json.loads(json.dumps(config.to_dict(), default=str)))


@pytest.fixture(scope="module")
def demo():
    """Return the demo's settings."""
    return settings_of(mt.demo_config())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("model.optimizer.lr", "Learning rate"),
        ("model.pretrained_model", "Pretrained weights"),
        ("model.properties.0.loss_coefficient", "energy: Weight"),
        ("model.properties.1.loss_coefficient", "forces: Weight"),
        ("data.train.src", "Training set: File"),
        ("trainer.max_epochs", "Epochs"),
    ],
)
def test_a_setting_is_called_by_its_label_and_by_its_group_where_others_have_the_same(
    name, label, demo
):
    assert Called([demo]).label(name) == label


def test_no_two_settings_of_a_run_are_called_alike(demo):
    called = Called([demo])
    labels = [called.label(name) for name in demo]
    assert len(set(labels)) == len(labels)
    assert not any("_" in label for label in labels)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("model.optimizer.lr", 0.001, "0.001"),
        ("model.optimizer.name", "adamw", "AdamW"),
        ("data.batch_size", 16, "16 structures"),
        ("data.pin_memory", True, "yes"),
        ("trainer.max_time", None, "not set"),
        ("data.train.src", "/a/long/way/to/a.xyz", "…/to/a.xyz"),
    ],
)
def test_values_are_told_as_the_form_tells_them(name, value, text, demo):
    assert Called([demo]).value(name, value) == text


def test_settings_of_kinds_that_are_not_known_keep_their_names():
    called = Called([{"model.name": "gone", "model.widths": 3, "config": "cannot be read"}])
    assert called.label("model.widths") == "widths"
    assert called.value("config", "cannot be read") == "cannot be read"
