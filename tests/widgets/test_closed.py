"""What is closed leaves nothing behind: a kernel that is asked for the state of all widgets answers."""

from __future__ import annotations

import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances

import mattertune_nb as mt


def left_by(make) -> list[ipywidgets.Widget]:
    """Return the widgets that live on after a view was made and closed, but those that all share."""
    make().close()  # makes what is shared
    before = set(_instances)
    made = make()
    # as a page asks that is reloaded; it fails where a part of something alive is closed
    for widget in list(_instances.values()):
        widget.get_state()
    made.close()
    return [widget for key, widget in _instances.items() if key not in before]


VIEWS = {
    "parity": lambda run: mt.parity(run),
    "compare": lambda run: mt.compare(run),
    "dashboard": lambda run: run.dashboard(),
    "runs": lambda run: mt.runs(run.path.parent),
}


def test_a_view_that_is_closed_leaves_no_widget(morse_config):
    run = mt.MatterTuner(morse_config()).tune().run
    for name, make in VIEWS.items():
        assert left_by(lambda make=make: make(run)) == [], name


def visited_form() -> mt.TunerForm:
    """Return a form of which each tab was opened, and whose split was another one for a while."""
    form = mt.TunerForm(mt.demo_config())
    for i in range(len(form.editor.widget.children)):
        form.editor.widget.selected_index = i
    split = form.editor.data.choice.kind
    split.value = "auto_split"
    split.value = "manual_split"
    return form


@pytest.mark.parametrize("make", [mt.TrainerForm, mt.TunerForm, visited_form])
def test_a_form_that_is_closed_leaves_no_widget(make):
    assert left_by(make) == []
