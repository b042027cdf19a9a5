"""Pictures beside widgets, and the front ends that can show neither or both."""

from __future__ import annotations

import io
import sys
from types import ModuleType

import pytest
from PIL import Image

import mattertune_nb as mt
from mattertune_nb.training.figures import new_figure
from mattertune_nb.widgets.live.compare import Comparison
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.picture import Drawing


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
    assert text == "Comparison: run this cell to see it live."


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


def test_a_drawing_is_sharp_and_without_paper():
    figure, (ax,) = new_figure(1, 1, 4.0, 2.0)
    ax.plot([0, 1], [0, 1])
    drawing = Drawing()
    assert drawing.layout.display == "none"
    drawing.draw(figure)
    assert drawing.layout.display is None
    assert drawing.layout.width == "min(100%, 480px)"
    seen = Image.open(io.BytesIO(drawing.value))
    # more of them than a page has, so that a screen of 1.5 times their number is served too
    assert seen.size == (720, 360)
    assert seen.convert("RGBA").getpixel((0, 0))[3] == 0
    drawing.draw(None)
    assert (drawing.value, drawing.layout.display) == (b"", "none")
