"""Configs within configs, and values of one of several types."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.widgets.forms.form import ConfigEditor, ConfigForm
from mattertune_nb.widgets.forms.nested_fields import Choice


def controls(form, name):
    return form.editor.editors[name]


def test_nested_forms_are_built_when_they_are_first_opened():
    form = mt.TrainerForm()
    stopping, checkpoint = controls(form, "early_stopping"), controls(form, "checkpoint")
    assert stopping.inner is None
    assert not checkpoint.built
    stopping.switch.value = checkpoint.switch.value = True
    assert isinstance(stopping.inner, ConfigEditor)
    checkpoint.inner.editors["monitor"].control.value = "val/forces_mae"
    assert form.config.checkpoint.monitor == "val/forces_mae"


def test_a_bad_entry_in_a_nested_form_is_refused_there():
    form = mt.TrainerForm()
    stopping = controls(form, "early_stopping")
    stopping.switch.value = True
    patience = stopping.inner.editors["patience"]
    patience.control.value = "-1"
    assert "Patience must be at least 0" in patience.problem
    assert form.config.early_stopping == mt.EarlyStoppingConfig()


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
