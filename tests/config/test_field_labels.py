"""Every field says what it is, in words, as forms and errors are made from them."""

from __future__ import annotations

import inspect
from typing import Literal, get_args, get_origin

import pytest

import mattertune_nb as mt
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.labels.reading import mask_remedy

ALL_CONFIGS = [
    cls
    for name in mt.__all__
    if name.endswith("Config")
    if not inspect.isabstract(cls := getattr(mt, name))
]
FIELDS = [(cls, name) for cls in ALL_CONFIGS for name in cls.model_fields]


@pytest.mark.parametrize(
    ("cls", "name"), FIELDS, ids=[f"{cls.__name__}.{name}" for cls, name in FIELDS]
)
def test_a_field_has_a_label_a_description_and_words_for_its_options(cls, name):
    field = cls.model_fields[name]
    assert field.title, "no label"
    assert field.title[0].isupper()
    assert "_" not in field.title
    assert len(field.title) <= 32
    assert field.description.endswith(".")
    assert len(field.description) > len("Backbone.") - 1
    options = (field.json_schema_extra or {}).get("options", {})
    if get_origin(field.annotation) is Literal:
        assert set(options) == set(map(str, get_args(field.annotation)))


@pytest.mark.parametrize("cls", ALL_CONFIGS, ids=lambda cls: cls.__name__)
def test_labels_are_told_apart_within_a_form(cls):
    labels = [field.title for field in cls.model_fields.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    "cls",
    [mt.AutoSplitDataModuleConfig, mt.CHGNetBackboneConfig, mt.TrainerConfig, mt.RunConfig],
    ids=lambda cls: cls.__name__,
)
def test_a_form_shows_few_settings_at_first_sight(cls):
    extras = [field.json_schema_extra or {} for field in cls.model_fields.values()]
    assert 3 <= sum(extra.get("basic", False) for extra in extras) <= 6


def test_messages_call_the_setting_that_names_a_label_as_the_form_does():
    named = [prop for prop in PROPERTIES.values() if prop.key_field]
    assert named
    for prop in named:
        label = mt.XYZDatasetConfig.model_fields[prop.key_field].title
        assert prop.named_by == f"{label} ({prop.key_field})"
    field = mt.ForcesPropertyConfig.model_fields["missing"]
    told = f"'{field.title}: {field.json_schema_extra['options']['mask']}'"
    assert told in mask_remedy("forces")


def test_a_question_about_a_label_is_a_sentence():
    asked = {prop.name: f"Which {prop.verb} the {prop.title}?" for prop in PROPERTIES.values()}
    assert asked["energy"] == "Which is the energy?"
    assert asked["forces"] == "Which are the forces?"
    assert asked["stresses"] == "Which is the stress?"
