"""Pictures beside widgets, and the front ends that can show neither or both."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.live.compare import Comparison
from mattertune_nb.widgets.page.front_end import has_front_end


def test_the_setting_decides_before_anything_else(monkeypatch):
    for value, shown in (("1", False), ("0", True)):
        monkeypatch.setenv("MATTERTUNE_NB_PLAIN", value)
        assert has_front_end() is shown


def test_a_script_has_no_front_end_and_its_views_no_javascript(monkeypatch):
    monkeypatch.delenv("MATTERTUNE_NB_PLAIN")
    assert not has_front_end()
    comparison = Comparison({})
    assert type(comparison.curves.figure.widget).__name__ == "Figure"
    assert "widget-view" not in str(comparison._repr_mimebundle_().keys())


def test_where_no_widget_is_shown_words_say_what_to_do(monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "0")
    text = Comparison({})._repr_mimebundle_()["text/plain"]
    assert text == "Comparison: execute this cell to see it live."


@pytest.mark.parametrize(
    "make", [lambda: Comparison({}), lambda: mt.TrainerForm()], ids=["", "form"]
)
def test_where_colab_is_its_widget_manager_is_switched_on(make, monkeypatch):
    switched = []
    output = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: switched.append(True)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    make()
    assert switched
