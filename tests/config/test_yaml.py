"""Whatever a text holds, reading it gives settings or one error that names YAML."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import given, strategies as st

import mattertune_nb as mt
from mattertune_nb.config.yaml import load_yaml

ODD = [
    "a: !!int ''",
    "a: !!float x",
    "a: !!bool perhaps",
    "a: !!timestamp yesterday",
    "a: !!omap x",
    "? [a, b]\n: c",
    "<<: 3",
    "[" * 5000,
    "{a: " * 3000,
]


@pytest.mark.parametrize("text", ODD, ids=[text[:20] for text in ODD])
def test_odd_scalars_and_keys_are_invalid_yaml_and_nothing_else(text):
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)
    with pytest.raises(mt.ConfigError, match="not valid YAML"):
        mt.TrainerConfig.from_yaml_text(text)


@pytest.mark.parametrize("text", ["model: {1: 2}", "trainer: {~: 3}", "run: {0.5: 1}", "=: 3"])
def test_keys_that_are_no_words_are_unknown_settings(text):
    with pytest.raises(mt.ConfigError):
        mt.MatterTunerConfig.from_yaml_text(text)


def test_the_name_of_an_element_is_no_truth_value():
    text = "per_element_references: {No: -1.5, Y: -6}"
    config = mt.PerAtomReferencingNormalizerConfig.from_yaml_text(text)
    assert config.per_element_references == {"No": -1.5, "Y": -6.0}


@given(st.text(alphabet="ab:-!{}[]&*?#|>'\"%@`~<=.,0123e+ \n\t", max_size=40))
def test_any_text_is_read_or_refused_in_words(text):
    with contextlib.suppress(mt.ConfigError):
        mt.TrainerConfig.from_yaml_text(text)
