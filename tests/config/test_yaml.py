"""Whatever a text holds, reading it gives settings or one error that names YAML."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from functools import partial

import pytest
import yaml
from hypothesis import given, settings, strategies as st

import mattertune_nb as mt
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.config.yaml import load_yaml
from mattertune_nb.training.records.summary import flat_settings

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


# -- whole configs -------------------------------------------------------------------------------

SETTINGS = mt.demo_config().to_yaml().splitlines()
SCALARS = [
    *["null", "~", "true", "0x1F", "1e400", ".nan", "-.inf", "010", "1:30", "2024-01-01", "é"],
    *["{}", "[]", "[[[]]]", "-", "|", ">", "=", "%", "@", "`", "!", "!!", "? x", "'a b'", "[x]"],
    *["!!int x", "!!null x", "!!binary abc", "!!set {a}", "!!omap [a: 1]", "&a 1", "*a", "[1,2"],
    *["{1: 2}", "{~: 1}", "<<: {1: 2}", "{<<: {1: 2}}", "{[1]: 2}", "{name: x}", "{name: cosine}"],
    *[r'"\x00"', r'"\ud800"', "9" * 5000, "a" * 5000, "{a: " * 150 + "}" * 150, "[" * 3000],
]
NAMES = [
    "",
    "self",
    "cls",
    "data",
    "name",
    "type",
    "model_config",
    "__class__",
    "~",
    "<<",
    "1",
    "[1]",
]
NAMES += ["²", "-1", "b" * 3000, "learnt"]


def is_short(message: str) -> bool:
    """Return whether a message repeats nothing long of what was given, on one line."""
    return not re.search(r"(.)\1{100}", message) and "\n" not in message


@st.composite
def edited(draw) -> str:
    """Return the settings of the demo with a few lines changed, put in or moved."""
    lines = list(SETTINGS)
    for _ in range(draw(st.integers(1, 3))):
        i = draw(st.integers(0, len(lines) - 1))
        name, _, _ = lines[i].partition(":")
        indent = " " * (len(name) - len(name.lstrip()))
        scalar, other = draw(st.sampled_from(SCALARS)), draw(st.sampled_from(NAMES))
        lines[i : i + 1] = draw(
            st.sampled_from(
                [
                    [f"{name}: {scalar}"],
                    [f"{indent}{other}: {scalar}"],
                    [lines[i], f"{indent}{other}: {scalar}"],
                    [f" {lines[i]}"],
                ]
            )
        )
    return "\n".join(lines)


def message_of(read: Callable[[], object]) -> str:
    """Return with what words something is refused, none where it is taken."""
    try:
        read()
    except mt.MatterTuneError as exc:
        return str(exc)
    return ""


def settings_or_an_error(text: str) -> None:
    read = partial(mt.MatterTunerConfig.from_yaml_text, text, source="config.yaml")
    assert is_short(message_of(read))


PATHS = list(flat_settings(mt.demo_config().to_dict()))


@st.composite
def changes(draw) -> list[str]:
    """Return what ``--set`` may be given: fields that there are, parts of them, and others."""
    out = []
    for _ in range(draw(st.integers(1, 3))):
        parts = draw(st.sampled_from(PATHS)).split(".")
        parts = parts[: draw(st.integers(0, len(parts)))]
        parts += draw(st.lists(st.sampled_from([*NAMES, "0", "٣", "99999999999"]), max_size=2))
        sign = draw(st.sampled_from(["=", "=", "=", "", "=="]))
        out.append(".".join(parts) + sign + draw(st.sampled_from(SCALARS)))
    return out


def config_or_an_error(asked: list[str]) -> None:
    assert is_short(message_of(partial(override_settings, mt.demo_config(), asked)))


@settings(max_examples=40)
@given(edited())
def test_settings_that_were_edited_badly_are_refused_in_words(text):
    settings_or_an_error(text)


@settings(max_examples=40)
@given(changes())
def test_changes_on_the_command_line_are_refused_in_words(asked):
    config_or_an_error(asked)


@pytest.mark.parametrize(
    "text",
    [
        "trainer: {self: 1}",
        "self: 1",
        r'run: {name: "\ud800"}',
        "run: {<<: {1: 2}}",
        f"data: {{type: manual_split, train: {{src: a, index: {'a' * 5000}}}}}",
        f"trainer: {{loggers: [{'a' * 5000}]}}",
        f"{'a' * 5000}: 1",
        "model: {name: chgnet, checkpoint: {a: 1}}",
        "data: {type: auto_split, dataset: {type: {1: 2}, src: a}}",
        "data: {type: auto_split, dataset: {type: json, src: a, tasks: [energy]}}",
    ],
    ids=lambda text: text[:30],
)
def test_what_was_found_by_chance_stays_found(text):
    message = message_of(partial(mt.MatterTunerConfig.from_yaml_text, text))
    assert message
    assert is_short(message)


@pytest.mark.parametrize(
    "change",
    [
        "self=1",
        "data.self=1",
        "model.properties.²=1",
        f"{'a' * 5000}=1",
        f"model.freeze={'[' * 4000}",
    ],
    ids=lambda text: text[:30],
)
def test_changes_that_were_found_by_chance_stay_found(change):
    message = message_of(partial(override_settings, mt.demo_config(), [change]))
    assert message
    assert is_short(message)
