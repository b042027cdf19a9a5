"""An ensemble is trained from the form, in a process of its own, and becomes one model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mattertune_nb as mt
from mattertune_nb.training.ensemble import new_ensemble


@pytest.fixture(autouse=True)
def known_to_processes(morse_config, tmp_path, monkeypatch):
    """Let other processes find the Morse potential, too."""
    paths = [str(tmp_path / "site"), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def form(morse_config):
    form = mt.TunerForm(morse_config(max_epochs=2, run={"name": "several"}))
    yield form
    form.close()


def test_it_trains_as_many_as_were_asked_for_and_says_how_to_use_them(form):
    panel = form.ensemble
    panel.members.value = 2
    assert panel.curves_button not in panel.widget.children[0].children
    panel.press()
    panel.wait(120)
    assert "several: 2 of 2 runs." in panel.text
    assert "On the validation set" in panel.text, "spread and errors are compared"
    seeds = [run.config().run.seed for run in panel.ensemble.runs()]
    assert seeds == [form.config.run.seed, form.config.run.seed + 1]
    model = mt.EnsembleRun(panel.ensemble.path).model()
    assert f"mt.EnsembleRun('{panel.ensemble.path}')" in panel.text.replace("&#x27;", "'")
    assert len(model.members) == 2
    assert panel.button.description == "Train an ensemble"
    panel.curves_button.click()
    (curves,) = panel.widget.children[2].children
    assert set(curves.data.panels["val/forces_mae"].series) == {"1", "2"}
    assert panel.curves_button.description == "Show its newest curves"

    panel.press()
    panel.wait(60)
    assert "The name 'several' is in use" in panel.text.replace("&#x27;", "'")


def test_it_is_stopped_and_can_go_on(morse_config):
    form = mt.TunerForm(morse_config(max_epochs=5000, run={"name": "long"}))
    panel = form.ensemble
    panel.press()
    while panel.ensemble is None or not panel.ensemble.runs():
        panel.wait(0.2)
    assert panel.button.description == "Stop the ensemble"
    panel.press()
    panel.wait(120)
    assert "long: 0 of 4 runs." in panel.text
    assert ".resume()" in panel.text
    assert not panel.ensemble.is_active()
    form.close()


def test_before_the_first_validation_no_empty_figure_is_shown(form):
    panel = form.ensemble
    panel.ensemble = new_ensemble(form.config, 2)
    panel.show_curves()
    (said,) = panel.widget.children[2].children
    assert "No curves yet" in said.value
    assert panel.curves_button.description == "Show its curves"


def test_what_speaks_against_a_run_is_said(form):
    config = form.config.model_copy(deep=True)
    config.data.dataset.src = Path("no_such_file.xyz")
    form.config = config
    form.ensemble.press()
    form.ensemble.wait(60)
    assert "no_such_file.xyz" in form.ensemble.text
    assert form.ensemble.ensemble is None
    assert not form.ensemble.button.disabled


def test_to_make_one_needs_no_torch():
    code = "import mattertune_nb.training.ensemble, sys; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.strip() == "False"
