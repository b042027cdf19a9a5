"""Forms: made from the configs, always holding the last valid one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import ase.io
import ipywidgets
import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.forms.advice import Advisor
from mattertune_nb.widgets.forms.annotations import is_config, is_optional, members
from mattertune_nb.widgets.forms.fields import OptionalValue
from mattertune_nb.widgets.forms.form import ConfigEditor, ConfigForm
from mattertune_nb.widgets.forms.lists import Rows
from mattertune_nb.widgets.forms.nested_fields import Choice
from mattertune_nb.widgets.page import lifetime


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
    assert least.inner.problem == "min_epochs is larger than max_epochs"
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


@pytest.fixture
def advised_form():
    """Return a form with its process that knows torch, which takes seconds to start."""
    form = mt.TunerForm()
    yield form
    form.close()


@pytest.fixture
def tuner_form(monkeypatch):
    """Return a form without that process, for what does not need it."""
    monkeypatch.setattr(Advisor, "ask", lambda self, config: None)
    form = mt.TunerForm()
    yield form
    form.close()


def with_data(form, src, **fields):
    settings = form.config.to_dict()
    settings["data"] = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=src, **fields)
    ).to_dict()
    return mt.MatterTunerConfig.from_dict(settings)


def dataset_editor(form):
    return form.editor.parts["data"].inner.inner.editors["dataset"]


def source(form):
    return dataset_editor(form).inner.editors["src"].control


@pytest.fixture
def odd_file(tmp_path):
    """Return a file whose labels have names of their own."""
    text = mt.demo_data("test").read_text().replace("forces:R:3", "REF_forces:R:3")
    (tmp_path / "odd.xyz").write_text(text.replace("energy=", "REF_energy="))
    return tmp_path / "odd.xyz"


def test_the_file_says_what_it_holds(tuner_form):
    given = with_data(tuner_form, mt.demo_data("train"))
    tuner_form.config = given
    assert "160 frames" in tuner_form._file.value
    assert tuner_form.config == given


def test_unusual_names_of_labels_are_filled_in_and_taken_back_with_the_file(tuner_form, odd_file):
    seen = []
    tuner_form.observe(seen.append, "config")
    tuner_form.editor.parts["data"].inner.set(with_data(tuner_form, "-").to_dict()["data"])
    source(tuner_form).value = str(odd_file)
    dataset = tuner_form.config.data.dataset
    assert (dataset.forces_key, dataset.energy_key) == ("REF_forces", "REF_energy")
    keys = tuner_form.editor.parts["data"].inner.inner.editors["dataset"].inner.editors
    assert keys["forces_key"].inner.control.value == "REF_forces"
    assert len(seen) == 1
    source(tuner_form).value = str(mt.demo_data("train"))
    assert tuner_form.config.data.dataset.forces_key is None
    assert not keys["forces_key"].switch.value
    assert len(seen) == 2


def run_in_fresh_kernel(code):
    """Return what code printed where ASE is not imported yet."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()


FORM_OF_ODD_FILE = """
import mattertune_nb as mt
data = mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src={!r}))
form = mt.TunerForm(mt.MatterTunerConfig(model=mt.CHGNetBackboneConfig(), data=data))
"""


def test_a_config_that_is_read_at_once_has_the_names_of_labels(odd_file):
    code = FORM_OF_ODD_FILE.format(str(odd_file))
    code += "print(form.config.data.dataset.energy_key)"
    assert run_in_fresh_kernel(code) == ["REF_energy"]


def test_what_is_changed_while_the_form_looks_into_the_file_stays(odd_file):
    code = FORM_OF_ODD_FILE.format(str(odd_file)) + (
        "import time\n"
        "time.sleep(0.6)\n"
        "form.editor.trainer.inner.editors['max_epochs'].inner.control.value = '7'\n"
        "form._looking.join()\n"
        "print(form.config.trainer.max_epochs, form.config.data.dataset.energy_key)"
    )
    assert run_in_fresh_kernel(code) == ["7", "REF_energy"]


def test_the_number_of_frames_is_that_of_the_index(tuner_form):
    tuner_form.config = with_data(tuner_form, mt.demo_data("train"))
    dataset_editor(tuner_form).inner.editors["index"].control.value = ":2"
    assert ": 2 frames" in tuner_form._file.value


def test_a_home_folder_that_is_not_there_is_said(tuner_form):
    source(tuner_form).value = "~nosuchuser/x.xyz"
    assert "~nosuchuser/x.xyz: no such home folder" in tuner_form._file.value
    assert tuner_form.config.data.dataset.src == Path("~nosuchuser/x.xyz")


def test_a_key_that_a_person_gave_stays(tuner_form, odd_file):
    tuner_form.config = with_data(tuner_form, odd_file, energy_key="mine")
    assert tuner_form.config.data.dataset.energy_key == "mine"
    assert tuner_form.config.data.dataset.forces_key == "REF_forces"
    source(tuner_form).value = str(mt.demo_data("train"))
    assert tuner_form.config.data.dataset.energy_key == "mine"


def test_a_relative_path_counts_from_the_notebook(tuner_form, odd_file, monkeypatch):
    monkeypatch.chdir(odd_file.parent)
    tuner_form.config = with_data(tuner_form, "odd.xyz")
    assert "odd.xyz: 60 frames" in tuner_form._file.value
    assert tuner_form.config.data.dataset.energy_key == "REF_energy"


@pytest.mark.parametrize(
    "content", [None, "", "not a structure\n"], ids=["none", "empty", "broken"]
)
def test_a_file_that_cannot_be_read_is_said_and_the_form_goes_on(tuner_form, tmp_path, content):
    file = tmp_path / "bad.xyz"
    if content is not None:
        file.write_text(content)
    tuner_form.config = with_data(tuner_form, file)
    assert "bad.xyz" in tuner_form._file.value
    with pytest.raises(mt.DataError, match=r"bad\.xyz"):
        tuner_form.start()
    assert "bad.xyz" in tuner_form.message.value
    assert tuner_form.run is None


def test_what_cannot_run_here_is_marked_and_can_be_chosen(advised_form):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    trainer = advised_form.editor.parts["trainer"].inner
    assert advised_form._advisor.wait()
    accelerator = trainer.editors["accelerator"]
    labels = {value: label for label, value in accelerator.control.options}
    assert labels["gpu"] == "gpu – none on this machine"
    accelerator.control.value = "gpu"
    assert advised_form.config.trainer.accelerator == "gpu"
    assert advised_form._advisor.wait()
    assert "needs a GPU" in advised_form._refusal.value
    with pytest.raises(mt.TrainingError, match="needs a GPU"):
        advised_form.start()
    assert "needs a GPU" in advised_form.message.value
    assert advised_form.run is None


def test_structures_given_in_python_stay_while_the_rest_is_edited(tuner_form):
    structures = mt.AtomsListDatasetConfig(atoms_list=ase.io.read(mt.demo_data("test"), ":6"))
    tuner_form.config = changed(tuner_form, data={"dataset": structures})
    editor = dataset_editor(tuner_form).inner.editors["atoms_list"]
    assert editor.control.value == "6 structures, given in Python"
    epochs = tuner_form.editor.trainer.inner.editors["max_epochs"].inner
    epochs.control.value = "8"
    assert tuner_form.config.trainer.max_epochs == 8
    assert tuner_form.config.data.dataset == structures


def test_structures_cannot_be_entered_by_hand(tuner_form):
    kind = dataset_editor(tuner_form).kind
    kind.value = "atoms_list"
    editor = dataset_editor(tuner_form).inner.editors["atoms_list"]
    assert "give them from Python" in editor.problem
    assert isinstance(tuner_form.config.data.dataset, mt.XYZDatasetConfig)
    kind.value = "xyz"
    assert tuner_form.problem == ""


def test_a_missing_backbone_shows_its_pip_line(monkeypatch):
    from mattertune_nb.backbones import base

    monkeypatch.setattr(base, "find_spec", lambda name: None if name == "sevenn" else True)
    options = {v: k for k, v in mt.TunerForm().editor.model.kind.options}
    assert options["sevennet"] == "SevenNet – pip install 'mattertune-nb[sevennet]'"
    assert options["chgnet"] == "CHGNet"


def test_a_preset_is_a_difference_from_the_defaults(tuner_form):
    tuner_form.preset.value = "careful"
    assert tuner_form.config.trainer.ema == mt.EMAConfig(decay=0.99)
    assert (
        "<code>model.optimizer.lr</code></td><td>0.002 → <b>0.0002" in tuner_form._preset_text.value
    )
    tuner_form.editor.trainer.inner.editors["accelerator"].control.value = "cpu"
    tuner_form.preset.value = "quick look"
    assert tuner_form.config.trainer == mt.TrainerConfig(max_epochs=10, accelerator="cpu")
    batch_size = tuner_form.editor.parts["data"].inner.inner.editors["batch_size"]
    assert tuner_form.config.data.batch_size == "auto"
    batch_size.kind.value = "int"
    batch_size.inner.control.value = "5"
    assert tuner_form.config.data.batch_size == 5
    tuner_form.preset.value = "small data"
    assert tuner_form.config.data.batch_size == 1
    tuner_form.preset.value = "none"
    assert tuner_form.config.data.batch_size == 5
    assert tuner_form.config.trainer == mt.TrainerConfig(accelerator="cpu")
    assert tuner_form._preset_text.value == ""


def changed(form, **parts):
    """Return the config of a form with some settings of its parts changed."""
    config = form.config.model_copy(deep=True)
    for part, fields in parts.items():
        for name, value in fields.items():
            setattr(getattr(config, part), name, value)
    return config


def test_a_preset_that_does_not_fit_is_refused_and_the_last_one_stays(tuner_form):
    tuner_form.preset.value = "careful"
    tuner_form.config = before = changed(tuner_form, trainer={"min_epochs": 50})
    tuner_form.preset.value = "quick look"
    assert tuner_form.preset.value == "careful"
    assert "min_epochs is larger than max_epochs" in tuner_form._preset_text.value
    assert tuner_form.config == before
    tuner_form.preset.value = "none"
    assert tuner_form.config.trainer == mt.TrainerConfig(min_epochs=50)


@pytest.mark.parametrize("scheduler", [None, mt.StepLRConfig(), [mt.LinearLRConfig()]])
def test_a_preset_leaves_out_what_the_config_has_not(tuner_form, scheduler):
    tuner_form.config = changed(tuner_form, model={"lr_scheduler": scheduler})
    tuner_form.preset.value = "quick look"
    assert tuner_form.config.trainer.max_epochs == 10
    assert tuner_form.config.model.lr_scheduler == scheduler
    assert "warmup" not in tuner_form._preset_text.value
    added = mt.CosineAnnealingLRConfig(warmup=0.1)
    tuner_form.config = changed(tuner_form, model={"lr_scheduler": added})
    tuner_form.preset.value = "none"
    assert tuner_form.config.trainer.max_epochs == 100
    assert tuner_form.config.model.lr_scheduler == added


def test_what_was_changed_since_a_preset_is_not_taken_back_with_it(tuner_form):
    tuner_form.preset.value = "small data"
    tuner_form.config = changed(tuner_form, trainer={"max_epochs": 500})
    tuner_form.preset.value = "none"
    assert tuner_form.config.trainer == mt.TrainerConfig(max_epochs=500)


def test_the_config_is_shown_loaded_and_saved_as_text(tuner_form, tmp_path):
    tab = tuner_form.config_tab
    assert tab.yaml.value == tuner_form.config.to_yaml()
    assert tab.python.value == tuner_form.config.to_python()
    tab.yaml.value = tab.yaml.value.replace("max_epochs: 100", "max_epochs: 17")
    tab.load_text.click()
    assert tuner_form.config.trainer.max_epochs == 17
    tab.path.value = str(tmp_path / "config.yaml")
    tab.save_file.click()
    assert mt.MatterTunerConfig.from_yaml(tmp_path / "config.yaml") == tuner_form.config
    tab.yaml.value = "model: [1"
    tab.load_text.click()
    assert "line 1: not valid YAML" in tab.message.value
    tab.yaml.value = tuner_form.config.to_yaml().replace("max_epochs: 17", "max_epoch: 17")
    tab.load_text.click()
    assert "Did you mean &#x27;max_epochs&#x27;?" in tab.message.value
    tab.save_file.click()
    assert "Not saved: " in tab.message.value
    assert "Did you mean &#x27;max_epochs&#x27;?" in tab.message.value
    assert mt.MatterTunerConfig.from_yaml(tmp_path / "config.yaml") == tuner_form.config
    tab.yaml.value = tuner_form.config.to_yaml()
    tab.path.value = "nowhere/config.yaml"
    tab.load_file.click()
    assert "nowhere/config.yaml: cannot read" in tab.message.value
    tab.save_file.click()
    assert "cannot be written" in tab.message.value
    assert tuner_form.config.trainer.max_epochs == 17


def test_text_and_file_are_read_alike(tuner_form, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tab = tuner_form.config_tab
    text = tab.yaml.value.replace("index: ':'", "index: 1:5").replace("lr: 0.002", "lr: 1e-3")
    for load in tab.load_text, tab.load_file:
        tab.path.value, tab.yaml.value = "~/config.yaml", text
        tab.save_file.click()
        assert str(tmp_path) in tab.message.value
        load.click()
        assert "Loaded" in tab.message.value
        assert tuner_form.config.data.dataset.index == "1:5"
        assert tuner_form.config.model.optimizer.lr == 1e-3
    tab.yaml.value = text + "data: {}\n"
    tab.load_text.click()
    assert "&#x27;data&#x27; is set twice" in tab.message.value


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


def test_the_schedule_is_previewed(advised_form):
    from mattertune_nb.widgets.forms.schedule_preview import learning_rates

    config = mt.demo_config()
    config.model.optimizer = mt.AdamWConfig(lr=1e-3)
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig(warmup=0.1)
    config.trainer.max_epochs = 20
    rates = learning_rates(config)
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5
    advised_form.config = config
    assert advised_form._advisor.wait()
    assert "over 20 epochs, from 1e-05" in advised_form._preview.value
    advised_form.editor.model.inner.editors["lr_scheduler"].kind.value = "none"
    assert advised_form._advisor.wait()
    assert "from 0.001 to 0.001" in advised_form._preview.value


def wait_for_start(form):
    """Wait for what becomes of a press of the button, which a kernel does not."""
    while form.start_button.disabled and not (form.run is not None and form.run.is_active()):
        time.sleep(0.01)


def press_start(form):
    form.start_button.click()
    wait_for_start(form)


def test_start_trains_in_the_background_and_shows_the_dashboard(tuner_form, tmp_path):
    config = mt.demo_config(tmp_path, "from-form")
    config.data.train.index = config.data.validation.index = ":6"
    config.trainer.max_epochs = 1
    tuner_form.config = config
    press_start(tuner_form)
    assert tuner_form.run.wait(120).state == "finished"
    assert tuner_form._below.children[0] is tuner_form.run.dashboard()
    press_start(tuner_form)
    assert "is in use" in tuner_form.message.value


@pytest.mark.parametrize("is_shown_elsewhere", [False, True])
def test_a_further_start_closes_the_dashboard_of_the_last_run_unless_a_cell_shows_it(
    tuner_form, tmp_path, monkeypatch, is_shown_elsewhere
):
    def start(config, *, is_machine_checked):
        return mt.Run(RunDirectory.create(config)[0].path)

    monkeypatch.setattr("mattertune_nb.widgets.forms.tuner_form.start_run", start)
    monkeypatch.setattr(lifetime, "_shown", {})
    tuner_form.config = mt.demo_config(tmp_path, "first")
    tuner_form.start()
    first = tuner_form.run.dashboard()
    if is_shown_elsewhere:
        monkeypatch.setattr(lifetime, "_execution", lambda: ("cell", 1))
        lifetime.remember(first)
    tuner_form.config = mt.demo_config(tmp_path, "second")
    tuner_form.start()
    assert first.closed != is_shown_elsewhere
    assert not tuner_form.run.dashboard().closed


def test_start_holds_up_nobody_and_two_presses_are_one(tuner_form, tmp_path, monkeypatch):
    config = mt.demo_config(tmp_path)
    config.data.train.index = config.data.validation.index = ":6"
    config.trainer.max_epochs = 500
    tuner_form.config = config
    answered = threading.Event()
    monkeypatch.setattr(tuner_form._advisor, "wait", answered.wait)
    tuner_form.start_button.click()
    tuner_form.start_button.click()
    assert "Checking the data" in tuner_form.message.value
    # a cell that is executed meanwhile, as the quickstart has it, gets the run of the button
    of_cell = ThreadPoolExecutor().submit(lambda: tuner_form.run or tuner_form.start())
    answered.set()
    wait_for_start(tuner_form)
    assert of_cell.result(60) is tuner_form.run
    press_start(tuner_form)
    tuner_form.run.stop()
    assert len(list(tmp_path.iterdir())) == 1
    assert tuner_form.run.wait(120).state == "stopped"


def test_start_refuses_while_an_entry_is_wrong(tuner_form, tmp_path):
    tuner_form.config = mt.demo_config(tmp_path)
    epochs = tuner_form.editor.trainer.inner.editors["max_epochs"].inner
    epochs.control.value = "5o"
    press_start(tuner_form)
    assert "trainer.max_epochs: " in tuner_form.message.value
    assert tuner_form.run is None
    assert not list(tmp_path.iterdir())


def test_a_config_that_is_loaded_takes_the_place_of_a_wrong_entry_though_it_equals_the_last(
    tuner_form,
):
    before = tuner_form.config
    epochs = tuner_form.editor.trainer.inner.editors["max_epochs"].inner
    epochs.control.value = "5o"
    tuner_form.config_tab.load_text.click()
    assert tuner_form.config == before
    assert epochs.control.value == str(before.trainer.max_epochs)
    assert epochs.problem == tuner_form.problem == ""


def test_whatever_start_meets_is_said(tuner_form, tmp_path, monkeypatch):
    tuner_form.config = mt.demo_config(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    press_start(tuner_form)
    assert "could not be started (FileNotFoundError: " in tuner_form.message.value


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_advisor_goes_on_where_its_answer_could_not_be_shown():
    seen = []

    def show(known):
        seen.append(known["refusal"])
        if len(seen) == 1:
            raise RuntimeError

    advisor = Advisor(show)
    for _ in range(2):
        advisor.ask(mt.demo_config())
        assert advisor.wait()
    advisor.close()
    assert seen == [None, None]


def test_without_a_front_end_a_form_is_its_config(monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    form = mt.TrainerForm(mt.TrainerConfig(max_epochs=7))
    assert form._repr_mimebundle_()["text/plain"] == form.config.to_yaml()


def test_a_backbone_that_is_chosen_makes_its_own_form(tuner_form):
    tuner_form.editor.model.kind.value = "sevennet"
    assert isinstance(tuner_form.config.model, mt.SevenNetBackboneConfig)
    tuner_form.editor.model.kind.value = "chgnet"
    assert isinstance(tuner_form.config.model, mt.CHGNetBackboneConfig)


def test_a_form_that_is_closed_leaves_no_widget():
    mt.TrainerForm().close()
    before = set(ipywidgets.widgets.widget._instances)
    form = mt.TrainerForm(mt.TrainerConfig(early_stopping=mt.EarlyStoppingConfig()))
    assert len(ipywidgets.widgets.widget._instances) > len(before) + 90
    form.close()
    assert set(ipywidgets.widgets.widget._instances) == before
