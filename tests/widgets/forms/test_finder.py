"""What a finder finds is shown with a button that sets it in the form."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.training.estimate.found import Found
from mattertune_nb.widgets.forms import finder as module


@pytest.fixture
def form():
    """Return the form of the demo, and end what it has begun: a trial would go on in other tests."""
    form = mt.TunerForm(mt.demo_config())
    yield form
    form.close()


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [("lr", "model.optimizer.lr", 3e-4), ("batch", "data.batch_size", 5.0)],
)
def test_what_is_found_is_used(kind, setting, value, form, monkeypatch):
    asked = []

    def ask(config, kind, begun):
        asked.append((kind, config.model.optimizer.lr))
        return Found(setting, [1.0, 2.0, 4.0], [3.0, 2.0, 1.0], "loss", value, "a note")

    monkeypatch.setattr(module, "ask", ask)
    form.finder.press(kind)
    form.finder.wait(20)
    assert asked == [(kind, 2e-3)]
    assert "a note" in form.finder.text
    form.finder.use_button.click()
    part, *names = setting.split(".")
    found = getattr(form.config, part)
    for name in names:
        found = getattr(found, name)
    assert found == value
    assert form.finder.use_button is None


def test_why_nothing_is_found_is_said(form, monkeypatch):
    def ask(config, kind, begun):
        msg = "no such file <x>"
        raise mt.DataError(msg)

    monkeypatch.setattr(module, "ask", ask)
    form.finder.press("lr")
    form.finder.wait(20)
    assert "no such file &lt;x&gt;" in form.finder.text
    assert form.finder.buttons["lr"].description == "Find a learning rate"
