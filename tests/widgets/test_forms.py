"""Forms: made from the configs, always holding the last valid one."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.fields import OptionalValue, Simple
from mattertune_nb.widgets.form import ConfigEditor, ConfigForm
from mattertune_nb.widgets.nested_fields import Choice, Rows


def controls(form, name):
    return form.editor.editors[name]


def test_every_field_of_the_trainer_appears_and_round_trips():
    form = mt.TrainerForm()
    assert set(form.editor.editors) == set(mt.TrainerConfig.model_fields)
    assert form.config == mt.TrainerConfig()
    other = mt.TrainerConfig(
        devices=[0, 1],
        precision="bf16-mixed",
        deterministic="warn",
        max_time="00:10:00:00",
        gradient_clip_val=3.5,
        val_check_interval=0.25,
        early_stopping=mt.EarlyStoppingConfig(patience=3, stopping_threshold=0.01),
        checkpoint=mt.ModelCheckpointConfig(monitor="val/forces_mae", filename="best-model"),
        ema=mt.EMAConfig(decay=0.9),
        loggers=["csv", "tensorboard"],
        additional_trainer_kwargs={"limit_train_batches": 10},
    )
    form.config = other
    assert mt.TrainerConfig.from_dict(form.editor.get()) == other


CONFIGS = [
    mt.AdamWConfig(lr=3e-5, betas=(0.8, 0.99)),
    mt.CosineAnnealingLRConfig(T_max=7, warmup=0.25),
    mt.MultiStepLRConfig(milestones=[3, 9]),
    mt.HuberLossConfig(delta=0.5),
    mt.StressesPropertyConfig(loss=mt.MSELossConfig(), missing="mask"),
    mt.CHGNetBackboneConfig(
        lr_scheduler=[mt.LinearLRConfig(), mt.ExponentialConfig()], freeze=["*embedding*"]
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
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_any_config_survives_its_form(config):
    form = ConfigForm(config)
    assert type(config).from_dict(form.editor.get()) == config


def test_a_change_reaches_the_config_and_its_observers():
    form, seen = mt.TrainerForm(), []
    form.observe(seen.append, "config")
    controls(form, "max_epochs").inner.control.value = "7"
    assert form.config.max_epochs == 7
    assert seen[-1]["new"] is form.config


def test_setting_the_config_moves_the_widgets():
    form = mt.TrainerForm()
    form.config = mt.TrainerConfig(max_epochs=3, accelerator="gpu")
    assert controls(form, "max_epochs").inner.control.value == "3"
    assert controls(form, "accelerator").control.value == "gpu"


def test_a_bad_entry_is_refused_beside_its_field_and_changes_nothing():
    form = mt.TrainerForm()
    before = form.config
    field = controls(form, "max_epochs").inner
    field.control.value = "many"
    assert "valid integer" in field.message.value
    assert form.config is before
    field.control.value = "5"
    assert field.message.layout.display == "none"
    assert form.config.max_epochs == 5


def test_a_bad_entry_in_a_nested_form_is_refused_there():
    form = mt.TrainerForm()
    stopping = controls(form, "early_stopping")
    stopping.switch.value = True
    patience = stopping.inner.editors["patience"]
    patience.control.value = "-1"
    assert "greater than or equal to 0" in patience.message.value
    assert form.config.early_stopping == mt.EarlyStoppingConfig()


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
    interval.switch.value = True
    choice = interval.inner
    assert isinstance(choice, Choice)
    assert {text for text, _ in choice.kind.options} == {"fraction of an epoch", "every N batches"}
    choice.kind.value = "int"
    choice.inner.control.value = "1"
    assert form.config.val_check_interval == 1
    assert isinstance(form.config.val_check_interval, int)
    choice.kind.value = "float"
    choice.inner.control.value = "1"
    assert isinstance(form.config.val_check_interval, float)


def test_nested_forms_are_built_when_they_are_first_opened():
    stopping = controls(mt.TrainerForm(), "early_stopping")
    assert stopping.inner is None
    stopping.switch.value = True
    assert isinstance(stopping.inner, ConfigEditor)


def test_rows_are_added_and_removed():
    form = mt.TrainerForm()
    rows = controls(form, "loggers")
    assert isinstance(rows, Rows)
    rows.add_button.click()
    rows.add_button.click()
    assert [type(x).__name__ for x in form.config.loggers] == ["CSVLoggerConfig"] * 2
    rows._rows[1].kind.value = "tensorboard"
    assert isinstance(form.config.loggers[1], mt.TensorBoardLoggerConfig)
    rows._remove(rows._rows[0])
    assert len(form.config.loggers) == 1


def test_every_control_has_a_label_a_tooltip_and_its_unit():
    editor = ConfigForm(mt.RunConfig()).editor.editors["save_every"]
    assert isinstance(editor, Simple)
    assert editor.control.description == "save every"
    assert editor.control.tooltip == mt.RunConfig.model_fields["save_every"].description
    assert "min" in editor.widget.children[0].children[1].value


def test_the_form_waits_for_neither_torch_nor_lightning():
    code = (
        "import mattertune_nb as mt, sys, time; mt.TrainerForm, mt.TunerForm; t = time.perf_counter();"
        "mt.TrainerForm(); print(time.perf_counter() - t);"
        "print(sorted({'torch', 'lightning', 'chgnet'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    seconds, loaded = output.stdout.splitlines()
    assert float(seconds) < 0.3
    assert loaded == "[]"


@pytest.fixture
def tuner_form():
    form = mt.TunerForm()
    form._probe.join(60)
    return form


def test_the_file_fills_in_the_names_of_its_labels(tuner_form, shared_data):
    config = mt.demo_config()
    settings = config.to_dict()
    settings["data"] = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=mt.demo_data("train"))
    ).to_dict()
    tuner_form.config = mt.MatterTunerConfig.from_dict(settings)
    assert "160 frames" in tuner_form._file.value
    assert tuner_form.config.data.dataset.forces_key is None


def test_unusual_names_of_labels_are_mapped(tuner_form, tmp_path):
    text = mt.demo_data("test").read_text().replace("forces:R:3", "REF_forces:R:3")
    (tmp_path / "odd.xyz").write_text(text.replace("energy=", "REF_energy="))
    settings = tuner_form.config.to_dict()
    settings["data"]["dataset"]["src"] = str(tmp_path / "odd.xyz")
    tuner_form.config = mt.MatterTunerConfig.from_dict(settings)
    assert tuner_form.config.data.dataset.forces_key == "REF_forces"
    assert tuner_form.config.data.dataset.energy_key == "REF_energy"


def test_what_cannot_run_here_is_marked_and_can_be_chosen(tuner_form):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    accelerator = tuner_form.editor.parts["trainer"].editors["accelerator"]
    labels = {value: label for label, value in accelerator.control.options}
    assert labels["gpu"] == "gpu – none on this machine"
    accelerator.control.value = "gpu"
    assert tuner_form.config.trainer.accelerator == "gpu"
    tuner_form.start()
    assert "needs a GPU" in tuner_form.message.value
    assert tuner_form.run is None


def test_a_missing_backbone_shows_its_pip_line(monkeypatch):
    from mattertune_nb.backbones import base

    monkeypatch.setattr(base, "find_spec", lambda name: None if name == "sevenn" else True)
    options = {v: k for k, v in mt.TunerForm().editor.model.kind.options}
    assert options["sevennet"] == "sevennet – pip install 'mattertune-nb[sevennet]'"
    assert options["chgnet"] == "chgnet"


def test_a_preset_is_a_difference_from_the_defaults(tuner_form):
    tuner_form.preset.value = "careful"
    assert tuner_form.config.trainer.ema == mt.EMAConfig(decay=0.99)
    assert "model.optimizer.lr = 0.0002" in tuner_form._preset_text.value
    tuner_form.preset.value = "defaults"
    assert tuner_form.config.trainer == mt.TrainerConfig()


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
    assert "not valid YAML" in tab.message.value
    assert tuner_form.config.trainer.max_epochs == 17


def test_the_schedule_is_previewed(tuner_form):
    from mattertune_nb.widgets.schedule_preview import learning_rates

    config = mt.demo_config()
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig(warmup=0.1)
    config.trainer.max_epochs = 20
    rates = learning_rates(config)
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5
    tuner_form.config = config
    end = time.monotonic() + 20
    while not bytes(tuner_form._preview.value).startswith(b"\x89PNG"):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_start_trains_in_the_background_and_shows_the_dashboard(tuner_form, tmp_path):
    config = mt.demo_config(tmp_path, "from-form")
    config.data.train.index = config.data.validation.index = ":6"
    config.trainer.max_epochs = 1
    tuner_form.config = config
    tuner_form.start_button.click()
    assert tuner_form.run.wait(120).state == "finished"
    assert tuner_form._below.children[0] is tuner_form.run.dashboard()
    tuner_form.start_button.click()
    assert "is in use" in tuner_form.message.value
