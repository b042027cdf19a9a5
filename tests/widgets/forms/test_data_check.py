"""The doctor in the form: a button, and what was found."""

from __future__ import annotations

from dataclasses import replace

import ase.io
import pytest

import mattertune_nb as mt
from mattertune_nb.doctor.finding import Finding, Report


@pytest.fixture
def form(copper_xyz, tmp_path):
    """Return a form on frames of copper of which two have no energy to speak of."""
    frames = ase.io.read(copper_xyz, ":")
    for atoms in frames[:2]:
        atoms.calc.results["energy"] = 0.0
    ase.io.write(tmp_path / "ill.xyz", frames[:9])
    config = mt.demo_config(root=tmp_path)
    config.data = mt.ManualSplitDataModuleConfig(
        train=mt.XYZDatasetConfig(src=tmp_path / "ill.xyz"),
        validation=mt.XYZDatasetConfig(src=copper_xyz, index="9:"),
    )
    return mt.TunerForm(config)


def test_the_data_of_the_form_are_looked_at_beside_its_kernel(form):
    form.data_check.button.click()
    assert form.data_check.is_running
    assert form.data_check.button.description == "Cancel"
    form.data_check.wait(120)
    found = {finding.id: finding for finding in form.data_check.report}
    assert found["placeholder-energy"].frames == (0, 1)
    assert "ill.xyz, frames 0, 1" in form.data_check.text
    assert form.data_check.button.description == "Check the data"


def test_a_remedy_that_is_a_setting_is_used_by_a_click(form):
    settings = {"units.energy": "eV/atom"}
    finding = Finding("energy-per-atom", "error", "x", "y", source="ill.xyz", settings=settings)
    of_validation = replace(finding, part="validation", message="z")
    form.data_check._show(Report((finding, of_validation), 9).to_json(), "", 1)
    (button,) = form.data_check.remedies.children
    assert button.description == "ill.xyz: use units.energy = eV/atom"
    button.click()
    assert form.config.data.train.units.energy == "eV/atom"
    assert form.config.data.validation.units.energy is None
    (done,) = form.data_check.remedies.children
    assert "units.energy = eV/atom is set; check again" in done.value


def test_a_look_can_be_cancelled(form):
    form.data_check.button.click()
    while form.data_check._process is None:
        pass
    form.data_check.button.click()
    form.data_check.wait(30)
    assert form.data_check.report is None
    assert form.data_check.text == ""


def test_a_bar_shows_how_far_the_look_is(form):
    shown = []
    form.data_check._note.observe(lambda change: shown.append(change["new"]), "value")
    form.data_check.start()
    form.data_check.wait(120)
    bars = [text for text in shown if "<progress" in text]
    assert any('value="9" max="9"' in text and "reading: 9 of 9 frames" in text for text in bars)
    assert any("predicting: " in text for text in bars)
    assert "<progress" not in form.data_check._note.value


def test_what_cannot_be_read_is_said(form, tmp_path):
    (tmp_path / "ill.xyz").write_text("no structure\n")
    form.data_check.start()
    form.data_check.wait(60)
    assert "ill.xyz" in form.data_check.text
    assert "Traceback" not in form.data_check.text


def test_a_report_comes_back_from_json_and_is_escaped_on_a_page():
    report = Report((Finding("net-force", "warning", "<b>2</b>", "x", (1, 2), "a<i>.xyz"),), 3, 1)
    assert Report.from_json(report.to_json()) == report
    assert "<b>2</b>" not in report.to_html()
    assert "a&lt;i&gt;.xyz, frames 1, 2" in report._repr_html_()
