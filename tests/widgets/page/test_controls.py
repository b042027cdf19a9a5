"""Controls of a form have one layout and one style for all."""

from __future__ import annotations

import ipywidgets as W  # noqa: N812  the usual alias

import mattertune_nb as mt
from mattertune_nb.widgets.page.controls import Dropdown, Text, shared
from mattertune_nb.widgets.page.lifetime import parts


def test_a_form_has_few_layouts_and_styles():
    form = mt.TunerForm()
    for title in form._tabs.tabs:
        form._tabs.open(title)
    looks = [p for p in parts(form) if isinstance(p, (W.Layout, W.Style))]
    controls = [p for p in parts(form) if isinstance(p, W.DOMWidget)]
    assert len(controls) > 100
    assert len(looks) < 20


def test_controls_of_a_kind_look_alike_unless_told_otherwise():
    first, second = Text(description="a"), Text(description="b")
    own = Text(layout={"width": "10px"}, style={"description_width": "auto"})
    assert first.layout is second.layout is Dropdown().layout
    assert first.style is second.style
    assert own.layout is not first.layout
    assert first.style.description_width != own.style.description_width == "auto"


def test_closing_a_form_leaves_the_look_of_another():
    closed, kept = mt.TrainerForm(), mt.TrainerForm()
    closed.close()
    assert closed.comm is None
    assert all(part.comm is not None for part in parts(kept))


def test_after_all_widgets_were_closed_new_ones_have_a_look():
    before = shared(W.Layout)
    W.Widget.close_all()
    control = Text()
    assert control.layout is not before
    assert control.layout.comm is not None
