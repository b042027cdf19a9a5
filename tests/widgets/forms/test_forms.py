"""Forms: made from the configs, always holding the last valid one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import ipywidgets
import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.widgets.forms.annotations import is_config, is_optional, members
from mattertune_nb.widgets.forms.fields import OptionalValue
from mattertune_nb.widgets.forms.form import ConfigEditor, ConfigForm
from mattertune_nb.widgets.forms.lists import Rows
from mattertune_nb.widgets.forms.nested_fields import Choice


def controls(form, name):
    return form.editor.editors[name]


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


class Newer(mt.TrainerConfig):
    """A trainer with settings that no form was told of."""

    smoothing: float = setting(
        0.5, "How smooth.", unit="nm", ge=0, lt=2, group="training", title="curve smoothing"
    )
    colour: Literal["red", "blue"] | None = setting(None, "Which colour.", group="paint")
    names: list[str] = setting(list, "Which names.")
    limits: tuple[int, int] = setting((1, 2), "From and to.")
    extra: mt.EMAConfig | None = setting(None, "A config of its own.")


def test_a_new_field_appears_by_itself():
    form = ConfigForm(Newer())
    smoothing = controls(form, "smoothing")
    assert smoothing.control.description == "curve smoothing"
    assert smoothing.about.text() == (
        "How smooth. Unit: nm. At least 0 and below 2. Default: 0.5. In a config: smoothing"
    )
    assert '<span class="mt-unit">nm</span>' in smoothing.widget.children[1].value
    assert "paint" in form.editor.headings
    colour = controls(form, "colour").control
    assert [text for text, _ in colour.options] == ["not set", "red", "blue"]
    colour.value = "blue"
    controls(form, "names").control.value = 'a, "b, c"'
    controls(form, "limits").control.value = "3, 4"
    controls(form, "extra").switch.value = True
    assert form.config == Newer(
        colour="blue", names=["a", "b, c"], limits=(3, 4), extra=mt.EMAConfig()
    )
    smoothing.control.value = "2"
    assert "must be below 2" in smoothing.problem


def test_the_groups_of_the_trainer_are_its_headings():
    assert list(mt.TrainerForm().editor.headings) == [
        "hardware", "training", "validation", "callbacks", "logging"
    ]  # fmt: skip


def test_a_change_reaches_the_config_and_its_observers():
    form, seen = mt.TrainerForm(), []
    form.observe(seen.append, "config")
    controls(form, "max_epochs").inner.control.value = "7"
    assert form.config.max_epochs == 7
    assert seen[-1]["new"] is form.config
    form.config = mt.TrainerConfig(loggers=["csv"], early_stopping=mt.EarlyStoppingConfig())
    assert len(seen) == 2
    form.config = mt.TrainerConfig(loggers=["csv"], early_stopping=mt.EarlyStoppingConfig())
    assert len(seen) == 2


def test_one_and_one_point_zero_are_different_settings():
    form, seen = mt.TrainerForm(mt.TrainerConfig(val_check_interval=1)), []
    form.observe(seen.append, "config")
    form.config = mt.TrainerConfig(val_check_interval=1.0)
    assert len(seen) == 1
    assert controls(form, "val_check_interval").kind.value == "float"


def test_only_a_config_of_its_kind_is_taken_and_a_later_change_of_it_stays_outside():
    form = mt.TrainerForm()
    with pytest.raises(traitlets.TraitError, match="expected a TrainerConfig, got a RunConfig"):
        form.config = mt.RunConfig()
    mine = mt.TrainerConfig(max_epochs=3)
    form.config = mine
    mine.max_epochs = 4
    assert form.config.max_epochs == 3


def test_setting_the_config_moves_the_widgets():
    form = mt.TrainerForm()
    form.config = mt.TrainerConfig(
        max_epochs=3,
        accelerator="gpu",
        early_stopping=mt.EarlyStoppingConfig(patience=9),
        loggers=["csv", "wandb"],
        checkpoint=mt.ModelCheckpointConfig(save_top_k=3),
    )
    assert controls(form, "max_epochs").inner.control.value == "3"
    assert controls(form, "accelerator").control.value == "gpu"
    assert controls(form, "early_stopping").inner.editors["patience"].control.value == "9"
    assert [row.kind.value for row in controls(form, "loggers").rows] == ["csv", "wandb"]
    assert "Number of best kept: 3" in controls(form, "checkpoint").summary
    form.config = mt.TrainerConfig(max_epochs=None, max_steps=10)
    assert not controls(form, "max_epochs").switch.value
    assert not controls(form, "early_stopping").switch.value
    assert controls(form, "loggers").rows == []


def test_a_bad_entry_is_refused_beside_its_field_and_changes_nothing():
    form = mt.TrainerForm()
    before = form.config
    field = controls(form, "max_epochs").inner
    field.control.value = "many"
    assert field.problem == 'Epochs must be a whole number, e.g. 100; got "many"'
    assert "must be a whole number" in field.widget.children[-1].value
    assert form.config is before
    field.control.value = "0"
    assert "would train nothing" in field.problem
    assert form.config is before
    field.control.value = ""
    assert form.config.max_epochs is None
    field.control.value = "5"
    assert field.problem == ""
    assert form.config.max_epochs == 5


def test_a_bad_entry_in_a_nested_form_is_refused_there():
    form = mt.TrainerForm()
    stopping = controls(form, "early_stopping")
    stopping.switch.value = True
    patience = stopping.inner.editors["patience"]
    patience.control.value = "-1"
    assert "Patience must be at least 0" in patience.problem
    assert form.config.early_stopping == mt.EarlyStoppingConfig()


def test_what_is_wrong_with_a_config_as_a_whole_stands_beside_the_field_it_speaks_of():
    form = mt.TrainerForm(mt.TrainerConfig(max_epochs=5))
    least = controls(form, "min_epochs")
    least.switch.value = True
    least.inner.control.value = "7"
    assert least.inner.problem == "Least epochs, 7, exceed Epochs, 5"
    assert form.config.min_epochs is None
    least.inner.control.value = "3"
    assert least.inner.problem == ""
    assert form.config.min_epochs == 3


def test_a_bad_entry_in_a_row_is_refused_in_that_row():
    form = mt.TrainerForm(mt.TrainerConfig(loggers=["csv", "csv"]))
    row = controls(form, "loggers").rows[1]
    field = row.inner.editors["flush_logs_every_n_steps"]
    field.control.value = "0"
    assert "must be at least 1" in field.problem
    assert controls(form, "loggers").rows[0].inner.editors["flush_logs_every_n_steps"].problem == ""
    assert form.config == mt.TrainerConfig(loggers=["csv", "csv"])


def test_a_closed_section_opens_where_something_in_it_is_wrong():
    class Paired(StrictConfig):
        name: Literal["paired"] = setting("paired", "Kind.")
        low: Annotated[int, Field(ge=0)] = setting(1, "Low.")
        inner: mt.EMAConfig = setting(mt.EMAConfig, "Inner.")

        @model_validator(mode="after")
        def check(self):
            if self.inner.start_step > self.low:
                msg = "inner: starts above low"
                raise ValueError(msg)
            return self

    form = ConfigForm(Paired(low=5, inner=mt.EMAConfig(start_step=4)))
    controls(form, "low").control.value = "3"
    assert controls(form, "inner").switch.value
    assert "starts above low" in controls(form, "inner").inner.problem
    assert form.config.low == 5


def test_not_set_is_a_state_of_its_own():
    form = mt.TrainerForm()
    clip = controls(form, "gradient_clip_val")
    assert isinstance(clip, OptionalValue)
    assert form.config.gradient_clip_val is None
    clip.switch.value = True
    assert form.config.gradient_clip_val is None
    clip.inner.control.value = "2.5"
    assert form.config.gradient_clip_val == 2.5
    clip.switch.value = False
    assert form.config.gradient_clip_val is None


def test_a_fraction_of_an_epoch_and_a_number_of_batches_stay_apart():
    form = mt.TrainerForm()
    interval = controls(form, "val_check_interval")
    choice = interval
    assert isinstance(choice, Choice)
    assert [text for text, _ in choice.kind.options] == [
        "not set", "every N batches", "fraction of an epoch"
    ]  # fmt: skip
    assert form.config.val_check_interval is None
    choice.kind.value = "int"
    assert choice.problem == "enter a number"
    assert form.config.val_check_interval is None
    choice.inner.control.value = "1"
    assert choice.problem == ""
    assert form.config.val_check_interval == 1
    assert isinstance(form.config.val_check_interval, int)
    choice.kind.value = "float"
    choice.inner.control.value = "1"
    assert isinstance(form.config.val_check_interval, float)


def test_nested_forms_are_built_when_they_are_first_opened():
    form = mt.TrainerForm()
    stopping, checkpoint = controls(form, "early_stopping"), controls(form, "checkpoint")
    assert stopping.inner is None
    assert not checkpoint.built
    stopping.switch.value = checkpoint.switch.value = True
    assert isinstance(stopping.inner, ConfigEditor)
    checkpoint.inner.editors["monitor"].control.value = "val/forces_mae"
    assert form.config.checkpoint.monitor == "val/forces_mae"


def test_rows_are_added_and_removed():
    form = mt.TrainerForm()
    rows = controls(form, "loggers")
    assert isinstance(rows, Rows)
    rows.add_button.click()
    rows.add_button.click()
    assert [type(x).__name__ for x in form.config.loggers] == ["CSVLoggerConfig"] * 2
    rows.rows[1].kind.value = "tensorboard"
    assert isinstance(form.config.loggers[1], mt.TensorBoardLoggerConfig)
    rows._remove(rows.rows[0])
    assert len(form.config.loggers) == 1


def test_a_config_that_is_set_leaves_no_widgets_of_the_last_one():
    form = mt.TrainerForm()
    with_loggers = mt.TrainerConfig(loggers=["csv", "csv"], max_epochs=4)
    assert controls(form, "loggers").rows == []
    form.config, form.config = with_loggers, mt.TrainerConfig()
    before = set(ipywidgets.widgets.widget._instances)
    form.config = with_loggers
    buttons = [line.children[1] for line in controls(form, "loggers")._place.children]
    assert [b.tooltip for b in buttons] == [f"Remove number {n} of loggers" for n in (1, 2)]
    held = set(ipywidgets.widgets.widget._instances)
    form.config = mt.TrainerConfig(loggers=["csv", "csv"], max_epochs=3)
    assert set(ipywidgets.widgets.widget._instances) == held
    form.config = mt.TrainerConfig()
    assert set(ipywidgets.widgets.widget._instances) == before


def test_the_forms_wait_for_neither_torch_nor_lightning_nor_ase():
    code = (
        "import mattertune_nb as mt, sys, time\n"
        "def seconds(make):\n"
        "    start = time.thread_time(); make(); return time.thread_time() - start\n"
        "mt.TrainerForm(), mt.TunerForm().close()\n"
        "heavy = {'torch', 'lightning', 'chgnet', 'ase.io', 'matplotlib', 'scipy'}\n"
        "loaded = sorted(heavy & set(sys.modules))\n"
        "for form in mt.TrainerForm, mt.TunerForm:\n"
        "    print(min(seconds(form) for _ in range(3)))\n"
        "print(loaded)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    trainer, tuner, loaded = output.stdout.splitlines()
    assert loaded == "[]"
    assert float(trainer) < 0.3
    assert float(tuner) < 0.3


def test_a_mapping_is_entered_as_in_a_config_file():
    form = mt.TrainerForm()
    kwargs = controls(form, "additional_trainer_kwargs")
    kwargs.control.value = "limit_train_batches: 1e-1"
    assert form.config.additional_trainer_kwargs == {"limit_train_batches": 0.1}
    for text in ("0", "false", "[]", "limit_train_batches: 1\nlimit_train_batches: 2"):
        kwargs.control.value = text
        assert "must be a mapping" in kwargs.problem
    kwargs.control.value = ""
    assert form.config.additional_trainer_kwargs == {}


def test_without_a_front_end_a_form_is_its_config(monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    form = mt.TrainerForm(mt.TrainerConfig(max_epochs=7))
    assert form._repr_mimebundle_()["text/plain"] == form.config.to_yaml()


def test_a_form_that_is_closed_leaves_no_widget():
    mt.TrainerForm().close()
    before = set(ipywidgets.widgets.widget._instances)
    form = mt.TrainerForm(mt.TrainerConfig(early_stopping=mt.EarlyStoppingConfig()))
    assert len(ipywidgets.widgets.widget._instances) > len(before) + 30
    form.close()
    assert set(ipywidgets.widgets.widget._instances) == before
