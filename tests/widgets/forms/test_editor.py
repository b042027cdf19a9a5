"""What all editors share: help, a mark for what differs from its default, and the way back to it."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.fields import Simple
from mattertune_nb.widgets.forms.form import ConfigForm


def controls(form, name):
    return form.editor.editors[name]


def test_every_control_has_a_label_its_unit_and_help():
    editor = ConfigForm(mt.RunConfig()).editor.editors["save_every"]
    assert isinstance(editor, Simple)
    assert editor.control.description == "Time between saves"
    mark = editor.widget.children[1].value
    assert '<span class="mt-unit">min</span>' in mark
    for text in (mt.RunConfig.model_fields["save_every"].description, "Above 0. Default: 5."):
        assert text in mark


def test_what_differs_from_its_default_is_marked_and_put_back():
    form = mt.TrainerForm(mt.TrainerConfig(max_epochs=7, loggers=["csv"]))
    marked = [n for n, editor in form.editor.editors.items() if not editor.is_default]
    assert marked == ["max_epochs", "loggers"]
    epochs = controls(form, "max_epochs")
    assert "mt-changed" in epochs.widget._dom_classes
    epochs._undo.click()
    assert form.config == mt.TrainerConfig(loggers=["csv"])
    assert epochs._undo is None
    assert "mt-changed" not in epochs.widget._dom_classes
    controls(form, "early_stopping").switch.value = True
    patience = controls(form, "early_stopping").inner.editors["patience"]
    patience.control.value = "3"
    assert not patience.is_default
    patience.reset()
    assert form.config.early_stopping == mt.EarlyStoppingConfig()
    for name in ("early_stopping", "loggers"):
        controls(form, name)._undo.click()
    assert form.config == mt.TrainerConfig()


def test_the_way_back_stands_in_the_line_of_the_label():
    form = ConfigForm(mt.CHGNetBackboneConfig(optimizer=mt.SGDConfig(lr=0.1)))
    optimizer = controls(form, "optimizer")
    children = list(optimizer.line.children)
    assert children.index(optimizer._undo) < children.index(optimizer.inner.widget)


@pytest.mark.parametrize("config", [mt.RunConfig, mt.CHGNetBackboneConfig, mt.SGDConfig])
def test_a_form_of_defaults_marks_nothing(config):
    form = ConfigForm(config())
    assert all(editor.is_default for editor in form.editor.editors.values())


def test_help_says_what_it_is_its_unit_bounds_kinds_default_and_name():
    assert About.of(mt.TrainerConfig, "num_sanity_val_steps", "trainer.").lines() == [
        mt.TrainerConfig.model_fields["num_sanity_val_steps"].description,
        "At least -1. Default: 0.",
        "In a config: trainer.num_sanity_val_steps",
    ]
    kinds = About.of(mt.CHGNetBackboneConfig, "optimizer", "model.").text()
    assert "AdamW: AdamW, :class:" not in kinds
    assert "SGD: Stochastic gradient descent" in kinds


def test_help_is_text_and_no_markup():
    mark = About.of(mt.CHGNetBackboneConfig, "freeze", "model.").called("<b>").mark()
    assert "&lt;b&gt;" in mark
    assert "<b><b>" not in mark


def test_a_list_of_numbers_is_read_as_numbers():
    form = ConfigForm(mt.AdamWConfig())
    betas = controls(form, "betas")
    assert betas.get() == [0.9, 0.999]
    betas.control.value = "0.8, 0.9"
    assert form.config.betas == (0.8, 0.9)
    assert not betas.is_default
    betas.reset()
    assert form.config == mt.AdamWConfig()
