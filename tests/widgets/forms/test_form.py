"""A form made from its config, always holding the last valid one."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import ipywidgets
import pytest
import traitlets

import mattertune_nb as mt
from mattertune_nb.config.base import setting
from mattertune_nb.widgets.forms.form import ConfigForm


def controls(form, name):
    return form.editor.editors[name]


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
        "hardware", "training", "validation", "callbacks", "keep what the model knew", "logging"
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


def test_what_is_wrong_with_a_config_as_a_whole_stands_beside_the_field_it_speaks_of():
    form = mt.TrainerForm(mt.TrainerConfig(max_epochs=5))
    least = controls(form, "min_epochs")
    least.switch.value = True
    least.inner.control.value = "7"
    assert least.inner.problem == "Minimum epochs, 7, exceeds Epochs, 5"
    assert form.config.min_epochs is None
    least.inner.control.value = "3"
    assert least.inner.problem == ""
    assert form.config.min_epochs == 3


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
