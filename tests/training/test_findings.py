"""What the doctor finds in the data of a run, with the predictions of its baseline."""

from __future__ import annotations

import json
import logging
import re

import ase.io
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree

import mattertune_nb as mt
from mattertune_nb.doctor.finding import Finding, Report
from mattertune_nb.training.records.findings import read_findings, write_findings
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.findings_view import FindingsView
from mattertune_nb.widgets.live.sections import SECTIONS


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Return a run whose forces are in atomic units, with a distorted molecule in training."""
    train = ase.io.read(mt.demo_data("train"), ":8")
    validation = ase.io.read(mt.demo_data("validation"), ":6")
    for atoms in validation:
        atoms.calc.results["forces"] = atoms.calc.results["forces"] / (Hartree / Bohr)
    moved = train[3].copy()
    moved.positions[1] = moved.positions[0] + 0.4
    moved.calc = SinglePointCalculator(moved, **train[3].calc.results)
    train[3] = moved
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.ManualSplitDataModuleConfig(
            train=mt.AtomsListDatasetConfig(atoms_list=train),
            validation=mt.AtomsListDatasetConfig(atoms_list=validation),
        ),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(name="run", root=tmp_path_factory.mktemp("runs")),
    )
    return mt.MatterTuner(config).tune().run


def test_a_run_says_what_is_wrong_with_its_data(tuned):
    report = read_findings(tuned.directory)
    assert report.n_predicted == 6
    found = {(finding.id, finding.part): finding for finding in report}
    assert found["forces-unit", "validation"].settings == {"units.forces": "Hartree/Bohr"}
    assert found["overlapping-atoms", "training"].frames == (3,)
    log = tuned.directory.log_file.read_text()
    for finding in report:
        assert str(finding) in log
    assert len([line for line in log.splitlines() if "[forces-unit]" in line]) == 1


def test_the_dashboard_and_the_report_show_it_with_a_picture(tuned):
    assert FindingsView in SECTIONS
    view = FindingsView(tuned)
    assert "before the first step" in view.text
    view.refresh()
    for page in (view.text, tuned.report().read_text()):
        assert "Hartree/Bohr" in page
        assert re.search(r'<img alt="[^"]*frame 3"', page)


def test_a_run_that_goes_on_keeps_what_was_found(tuned):
    before = tuned.directory.findings_file.stat().st_mtime_ns
    config = tuned.config()
    longer = config.trainer.model_copy(update={"max_epochs": 2})
    mt.MatterTuner(config.model_copy(update={"trainer": longer})).resume(tuned.directory)
    assert tuned.directory.findings_file.stat().st_mtime_ns == before


def test_whatever_goes_wrong_costs_only_the_findings(small_config, monkeypatch, caplog):
    def fails(*_):
        msg = "nothing there"
        raise IndexError(msg)

    monkeypatch.setattr("mattertune_nb.training.callbacks.first_look.findings_of_run", fails)
    with caplog.at_level(logging.WARNING):
        run = mt.MatterTuner(small_config(max_epochs=1)).tune().run
    assert run.status().state == "finished"
    assert "were not looked at (nothing there)" in run.directory.log_file.read_text()


@pytest.mark.parametrize("name", ["message", "frames", "n_frames", "severity", "picture"])
def test_findings_of_another_kind_are_told_to_be_damaged(name, tmp_path):
    """What shows them takes each for what it is."""
    run = RunDirectory(tmp_path)
    finding = Finding("units", "warning", "odd", "look", (1,), picture="<svg></svg>")
    write_findings(run, Report((finding,), 3))
    assert read_findings(run) == Report((finding,), 3)
    data = json.loads(run.findings_file.read_text())
    place = data if name == "n_frames" else data["findings"][0]
    place[name] = {"a": 1}
    run.findings_file.write_text(json.dumps(data))
    assert read_findings(run) is None


def test_no_script_of_a_picture_is_part_of_the_page():
    finding = Finding(
        "units", "warning", "odd", "look", picture="<svg><script>alert(1)</script></svg>"
    )
    assert "<script" not in finding.to_html()
    assert "<img" in finding.to_html()
