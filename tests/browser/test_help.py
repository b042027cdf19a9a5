"""Help in the page: for each field of each config, by mouse, keyboard and screen reader."""

from __future__ import annotations

import inspect

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.annotations import tag_field

pytestmark = [pytest.mark.browser, pytest.mark.long]

CONFIGS = [
    cls
    for name in mt.__all__
    if name.endswith("Config") and not inspect.isabstract(cls := getattr(mt, name))
]
FORMS = """import inspect, mattertune_nb as mt
from ipywidgets import HTML, VBox
from mattertune_nb.widgets.forms.form import ConfigEditor
from mattertune_nb.widgets.page.style import STYLE
classes = [getattr(mt, n) for n in mt.__all__ if n.endswith("Config")]
editors = {c.__name__: ConfigEditor(c, lambda: None) for c in classes if not inspect.isabstract(c)}
for editor in editors.values():
    editor.editors
for name, editor in editors.items():
    editor.widget.add_class(f"of-{name}")
VBox([HTML(STYLE), *(editor.widget for editor in editors.values())])"""
READ = """name => [...document.querySelectorAll(`.of-${name} button.mt-help`)].map(mark => [
    mark.getAttribute('aria-label'),
    document.getElementById(mark.getAttribute('aria-describedby')).textContent])"""


def test_each_field_of_each_config_has_its_help(notebook):
    notebook.open(FORMS)
    notebook.run(0)
    page = notebook.page
    # the last of the forms has its marks
    page.wait_for_function(
        "document.querySelectorAll('.of-MatterTunerConfig button.mt-help').length >= 4",
        timeout=120_000,
    )
    for cls in CONFIGS:
        marks = page.evaluate(READ, cls.__name__)
        for name in cls.model_fields:
            if name == tag_field(cls):
                continue
            about = About.of(cls, name)
            told = [text for label, text in marks if label == f"Help: {about.label}"]
            assert any(
                all(line.removeprefix("In a config: ") in text for line in about.lines())
                for text in told
            ), (cls.__name__, name)
    # a title in a browser is plain text
    titles = page.evaluate("[...document.querySelectorAll('[title]')].map(e => e.title)")
    assert not [title for title in titles if "<" in title]
    assert notebook.errors == []


def test_help_works_by_mouse_and_keyboard_and_hides_no_field(notebook):
    notebook.open("import mattertune_nb as mt\nmt.TrainerForm()")
    notebook.run(0)
    page = notebook.page
    tip = page.locator(".mt-tip:popover-open")
    mark = page.get_by_role("button", name="Help: Epochs", exact=True)
    mark.hover()
    assert "Maximum number of passes over the training set" in tip.inner_text()
    assert "Default: 100" in tip.inner_text()
    field = page.get_by_label("Epochs", exact=True).bounding_box()
    box = tip.bounding_box()
    assert box["y"] + box["height"] <= field["y"] or box["y"] >= field["y"] + field["height"]
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1366
    page.mouse.move(2, 2)
    tip.wait_for(state="hidden")
    mark.click()
    assert tip.count() == 1
    page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    page.get_by_label("Epochs", exact=True).focus()
    page.keyboard.press("Tab")  # the switch
    page.keyboard.press("Tab")
    assert "Maximum number of passes over the training set" in tip.inner_text()
    page.keyboard.press("Tab")
    assert (
        "Maximum number of passes over the training set" not in (tip.all_inner_texts() or [""])[0]
    )
    assert notebook.errors == []
