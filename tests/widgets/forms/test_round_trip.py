"""Any config survives its form."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel

import mattertune_nb as mt
from mattertune_nb.widgets.forms.annotations import is_config, is_optional, members
from mattertune_nb.widgets.forms.form import ConfigForm


def values(annotation, metadata=()):
    """Draw what a field accepts, from its annotation and bounds alone."""
    if is_optional(annotation):
        inner = [m for m in members_with_bounds(annotation) if m[0] is not type(None)]
        return st.none() | st.one_of(values(a, [*m, *metadata]) for a, m in inner)
    parts = members_with_bounds(annotation)
    if len(parts) > 1:
        return st.one_of(values(a, [*m, *metadata]) for a, m in parts)
    (kind, own), bounds = parts[0], {}
    for mark in [*metadata, *own]:
        inner_marks = mark.metadata if hasattr(mark, "metadata") else [mark]
        for inner in inner_marks:
            bounds |= {
                n: getattr(inner, n)
                for n in ("ge", "gt", "le", "lt")
                if getattr(inner, n, None) is not None
            }
    origin = getattr(kind, "__origin__", None)
    if is_config(kind):
        return configs(kind)
    if origin is Literal:
        return st.sampled_from(kind.__args__)
    if origin is list:
        return st.lists(values(kind.__args__[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(values, kind.__args__))
    if origin is dict:
        return st.dictionaries(values(kind.__args__[0]), values(kind.__args__[1]), max_size=2)
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(1 + low if "gt" in bounds else low, high)
    if kind is float:
        return st.floats(
            low, high, exclude_min="gt" in bounds, exclude_max="lt" in bounds, allow_nan=False,
            allow_infinity=False,
        )  # fmt: skip
    if kind is Any:
        return st.integers() | st.booleans() | st.text("abc", max_size=3)
    text = st.text("ab1 ,\"'#:*[]{}-é", min_size=1, max_size=6)
    return text.map(Path) if kind is Path else text


def members_with_bounds(annotation):
    origin = getattr(annotation, "__origin__", None)
    if hasattr(annotation, "__metadata__"):
        marks = [m for m in annotation.__metadata__ if getattr(m, "discriminator", None) is None]
        return [(a, [*m, *marks]) for a, m in members_with_bounds(annotation.__origin__)]
    if origin is None and not hasattr(annotation, "__args__"):
        return [(annotation, [])]
    if len(members(annotation)) == 1 and not is_optional(annotation):
        return [(annotation, [])]
    return [part for a in annotation.__args__ for part in members_with_bounds(a)]


def configs(cls: type[BaseModel]):
    """Draw valid configs of a class."""

    @st.composite
    def drawn(draw):
        chosen = {}
        for name, field in cls.model_fields.items():
            if field.is_required() or draw(st.booleans()):
                chosen[name] = draw(values(field.annotation, field.metadata))
        return chosen

    def build(chosen):
        try:
            return cls(**chosen)
        except mt.ConfigError:
            return None

    return drawn().map(build).filter(lambda config: config is not None)


FORMS: dict[type, ConfigForm] = {}


@pytest.mark.parametrize(
    "cls",
    [
        mt.TrainerConfig,
        mt.AdamWConfig,
        mt.CosineAnnealingLRConfig,
        mt.OneCycleLRConfig,
        mt.CosineAnnealingWarmRestartsConfig,
        mt.MultiStepLRConfig,
        mt.HuberLossConfig,
        mt.StressesPropertyConfig,
        mt.XYZDatasetConfig,
        mt.DBDatasetConfig,
        mt.EarlyStoppingConfig,
        mt.ModelCheckpointConfig,
        mt.MeanStdNormalizerConfig,
        mt.PerAtomReferencingNormalizerConfig,
        mt.WandbLoggerConfig,
        mt.CSVLoggerConfig,
    ],
    ids=lambda cls: cls.__name__,
)
@settings(max_examples=15)
@given(st.data())
def test_any_config_survives_its_form(cls, data):
    config = data.draw(configs(cls))
    if cls not in FORMS:
        FORMS[cls] = ConfigForm(config)
    form = FORMS[cls]
    form.config = config
    assert form.config == config
    read = cls.from_dict(form.editor.get())
    assert read == config
    assert repr(read) == repr(config)


CONFIGS = [
    mt.TrainerConfig(
        check_val_every_n_steps=7,
        loggers=[
            mt.ImportedLoggerConfig(
                path="lightning.pytorch.loggers.MLFlowLogger",
                arguments={"experiment_name": "copper", "synchronous": False, "tags": {"n": 1}},
            )
        ],
    ),
    mt.CHGNetBackboneConfig(
        lr_scheduler=[mt.LinearLRConfig(), mt.ExponentialConfig()], freeze=["*embedding*", "a,b"]
    ),
    mt.CHGNetBackboneConfig(
        normalizers={
            "energy": [mt.MeanStdNormalizerConfig(mean=1.5), mt.RMSNormalizerConfig()],
            "forces": [],
        }
    ),
    mt.SevenNetBackboneConfig(lr_scheduler=None, normalizers={}),
    mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src="a.xyz", forces_key="REF_forces"),
        train_split=24,
        max_atoms=99,
    ),
    mt.ManualSplitDataModuleConfig(
        train=mt.DBDatasetConfig(src="a.db", selection="natoms<9"),
        validation=mt.XYZDatasetConfig(src="b.xyz"),
    ),
    mt.RunConfig(name="x", seed=7),
    mt.TrainerConfig(devices=[0, 1], max_time="00:10:00:00", loggers=["csv", "csv"]),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_a_config_of_many_parts_survives_its_form(config):
    form = ConfigForm(config)
    assert form.config == config
    assert type(config).from_dict(form.editor.get()) == config
