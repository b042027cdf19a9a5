"""What is wrong with a setting is said in words, with its label, its bounds and an example."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig, setting


class Everything(StrictConfig):
    """A field of each type that configs have."""

    count: int = setting(3, "Count.", label="Count", ge=1, le=9)
    size: float = setting(0.5, "Size.", label="Size", gt=0, lt=2, unit="nm")
    on: bool = setting(False, "On.", label="Switch")
    text: str = setting("a", "Text.", label="Text", min_length=1)
    long: str = setting("abc", "Long.", label="Long text", min_length=3)
    time: str = setting("1:00", "Time.", label="Time", pattern=r"^\d:\d\d$", examples=["1:30"])
    file: Path = setting(Path("a"), "File.", label="File")
    kind: Literal["a", "b"] = setting("a", "Kind.", label="Kind")
    rows: list[int] = setting(lambda: [1], "Rows.", label="Rows", min_length=1, max_length=2)
    pair: tuple[float, float] = setting((0.0, 1.0), "Pair.", label="Pair")
    names: dict[str, float] = setting(dict, "Names.", label="Names")
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] = setting("auto", "Batch.", label="Batch")
    strict: Annotated[int, Field(strict=True)] | None = setting(None, "Strict.", label="Strict")
    ema: mt.EMAConfig = setting(mt.EMAConfig, "EMA.", label="Average")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("count", "ten", 'Count must be a whole number, e.g. 3; got "ten"'),
        ("count", None, "Count must be a whole number, e.g. 3; got nothing"),
        ("count", 1.5, "Count must be a whole number, e.g. 3; got 1.5"),
        ("count", "9" * 5000, "Count must be a whole number of fewer digits; got"),
        ("count", 0, "Count must be at least 1; got 0"),
        ("count", 10, "Count must be at most 9; got 10"),
        ("size", "wide", 'Size must be a number, e.g. 0.5 nm; got "wide"'),
        ("size", [], "Size must be a number, e.g. 0.5 nm; got []"),
        ("size", 0, "Size must be above 0 nm; got 0"),
        ("size", 2, "Size must be below 2 nm; got 2"),
        ("size", float("inf"), "Size must be a finite number; got inf"),
        ("on", "perhaps", 'Switch must be true or false; got "perhaps"'),
        ("on", [], "Switch must be true or false; got []"),
        ("text", 3, "Text must be text; got 3"),
        ("text", "", 'Text must be given, or not set; got ""'),
        ("long", "a", 'Long text must be of at least 3 characters; got "a"'),
        ("time", "late", 'Time must be of the form 1:30; got "late"'),
        ("file", 3, "File must be the path of a file or folder; got 3"),
        ("kind", "c", "Kind must be 'a' or 'b'; got \"c\""),
        ("rows", 3, "Rows must be a list; got 3"),
        ("rows", [], "Rows must be a list of at least 1; got []"),
        ("rows", [1, 2, 3], "Rows must be a list of at most 2; got [1, 2, 3]"),
        ("rows", ["x"], 'Rows, number 1, must be a whole number; got "x"'),
        ("pair", 3, "Pair must be a list; got 3"),
        ("pair", [1.0], "Pair, number 2, is required"),
        ("names", 3, "Names must be a mapping, as in 'name: value'; got 3"),
        ("names", {"Li": "x"}, 'Names of Li must be a number; got "x"'),
        ("batch", "all", "Batch must be a whole number or 'auto'; got \"all\""),
        ("strict", True, "Strict must be a whole number; got true"),
        ("ema", 3, "Average must be a group of settings; got 3"),
        ("ema", {"decay": 2}, "Decay must be below 1; got 2"),
    ],
)
def test_a_wrong_value_is_told_in_words(name, value, text):
    with pytest.raises(mt.ConfigError) as info:
        Everything(**{name: value})
    ((path, said),) = info.value.problems
    assert path[0] == name
    assert said.startswith(text)
    assert len(said) < 200
    assert str(info.value) == f"Everything: {'.'.join(map(str, path))}: {said}"


def test_what_has_no_words_of_its_own_is_still_a_sentence():
    class Odd(StrictConfig):
        value: complex = setting(1j, "Odd.", label="Odd value")

    with pytest.raises(mt.ConfigError) as info:
        Odd(value=[])
    assert re.match(r"Odd: value: Odd value must be .*; got \[\]$", str(info.value))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            {"optimizer": {"name": "lion"}},
            "optimizer: Optimizer must be one of 'adamw', 'adam', 'sgd'",
        ),
        ({"optimizer": {"lr": 1}}, "optimizer.name: Optimizer is required: say of which name"),
        ({"optimizer": 3}, "optimizer: Optimizer must be a group of settings"),
        ({"optimiser": {}}, "optimiser: unknown setting. Did you mean 'optimizer'?"),
        ({"lr": 1e-3}, "lr: unknown setting. Did you mean 'optimizer.lr'?"),
        ({"freeze": [1]}, "freeze.0: Frozen parameters, number 1, must be text; got 1"),
    ],
)
def test_settings_of_several_kinds(data, text):
    with pytest.raises(mt.ConfigError, match=re.escape(text)):
        mt.CHGNetBackboneConfig.from_dict(data)


def test_a_required_setting_is_called_by_its_label():
    with pytest.raises(mt.ConfigError, match=r"src: File is required"):
        mt.XYZDatasetConfig()
