"""Single values: entered, refused, not set."""

from __future__ import annotations

import mattertune_nb as mt
from mattertune_nb.widgets.forms.fields import OptionalValue


def controls(form, name):
    return form.editor.editors[name]


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
