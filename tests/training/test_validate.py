"""A run's scorecard: made from its best weights, kept, shown, chosen, cancelled, and printed."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.cli import app
from mattertune_nb.physics.scorecard import CHECK_TITLES, read_scorecard
from mattertune_nb.widgets.live.scorecard_view import ScorecardView

pytestmark = pytest.mark.usefixtures("counted_time")

SECONDS = 2.0


@pytest.fixture
def run(morse_config):
    return mt.MatterTuner(morse_config(max_epochs=2)).tune().run


def test_all_checks_are_made_and_kept(run):
    told = []
    card = run.validate(seconds=SECONDS, progress=lambda *what: told.append(what))
    assert [line.name for line in card.lines] == list(CHECK_TITLES)
    by_name = {line.name: line for line in card.lines}
    skipped = {name for name, line in by_name.items() if line.status == "skipped"}
    assert "spread" in skipped, "one model has none"
    # those that need a crystal that relaxes, or more frames
    assert skipped <= {"spread", "distance", "elastic", "phonons", "rdf"}
    for name in ("gradient", "rotation", "permutation", "size", "walls"):
        assert by_name[name].status == "pass", by_name[name].reason
    assert read_scorecard(run.directory.scorecard_file) == card
    assert told[0] == ("parity", 0, len(CHECK_TITLES))
    assert told[-1][1:] == (len(CHECK_TITLES), len(CHECK_TITLES))


def test_parity_is_that_of_ase_on_the_validation_set(run, copper_xyz):
    (line,) = run.validate(["parity"]).lines
    frames = [read(copper_xyz, ":")[i] for i in run.directory.splits()["validation"]]
    untuned = mt.FinetuneModuleBase(run.config().model)
    for name, model in (("untuned", untuned), ("tuned", run.model())):
        calculator = model.ase_calculator()
        wrong = [calculator.get_property("forces", a.copy()) - a.get_forces() for a in frames]
        error = 1e3 * np.abs(np.concatenate(wrong)).mean()
        assert line.numbers[f"{name}_meV_per_A"]["all"] == pytest.approx(error, rel=1e-4)
    off = [
        (calculator.get_property("energy", a.copy()) - a.get_potential_energy()) / len(a)
        for a in frames
    ]
    energy = 1e3 * np.abs(off).mean()  # of the tuned model
    assert line.numbers["tuned_meV_per_atom"]["all"] == pytest.approx(energy, rel=1e-3)
    assert not run.directory.scorecard_file.exists(), "a part is not kept as the whole"


def test_a_check_that_is_none_is_refused_with_those_there_are(run):
    with pytest.raises(mt.ConfigError, match=r"unknown check 'nvee'\. Did you mean 'nve'\?"):
        run.validate(["nvee"])


@pytest.mark.parametrize("bad", [0, -5, float("nan"), float("inf")])
def test_times_and_temperatures_that_are_none_are_refused(run, bad):
    with pytest.raises(mt.ConfigError, match="seconds: a number above 0"):
        run.validate(["nve"], seconds=bad)
    with pytest.raises(mt.ConfigError, match="temperature: a number above 0"):
        run.validate(["nvt"], temperature=bad)


def test_it_can_be_cancelled(run):
    answers = iter([False] * 30)
    card = run.validate(["rotation", "nve"], cancelled=lambda: next(answers, True))
    assert [line.name for line in card.lines] == ["rotation"]
    assert "Cancelled" in card.notes[-1]


def test_other_structures_are_taken(run, copper_xyz):
    card = run.validate(["parity", "size"], data=copper_xyz)
    assert "over 12 frames" in card.lines[0].reason


def test_the_widget_makes_the_chosen_checks_and_shows_them(run):
    view = ScorecardView(run)
    for name, box in view.boxes.items():
        box.value = name in ("rotation", "walls")
    view.start()
    view.wait()
    assert "atoms that come close" in view.text or "close atoms repel" in view.text
    assert "✓ pass" in view.text
    assert "two copies" not in view.text
    assert not view.start_button.disabled
    assert view.cancel_button.disabled


def test_dashboard_and_report_show_the_card_that_is_kept(run):
    card = run.validate(seconds=SECONDS)
    view = ScorecardView(run)
    view.refresh()
    assert view.text == card._repr_html_()
    page = run.report().read_text()
    assert "Fit for use" in page
    assert "energy is conserved (NVE)" in page


def test_a_report_without_a_card_says_how_to_get_one_and_needs_the_data_it_is_given(run):
    page = run.report().read_text()
    assert "Not shown: Not checked" not in page
    assert "Not checked yet: run.validate() or mattertune-nb validate does." in page
    assert "train, validation</td>" in page  # there is no test set
    with pytest.raises(mt.DataError, match=r"nowhere\.xyz"):
        run.report(run.path / "other.html", "nowhere.xyz")
    assert not (run.path / "other.html").exists()
    with pytest.raises(mt.DataError, match="a file of the run itself"):
        run.report(run.directory.config_file)


def test_names_in_a_card_are_shown_as_text():
    from mattertune_nb.physics.scorecard import Line, Scorecard

    shown = Scorecard("a", [Line("nve", "fail", reason="<script>x")], ["<b>"]).to_html()
    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    # a column that says nothing is left out
    assert ">why</th>" in shown
    assert not {">untuned</th>", ">tuned</th>", ">labels</th>"} & set(
        re.findall(">[a-z]*</th>", shown)
    )


def test_the_command_prints_the_card_and_fails_where_a_check_does(run):
    result = CliRunner().invoke(app, ["validate", str(run.path), "--check", "rotation"])
    assert result.exit_code == 0, result.output
    assert "rotated structures" in result.output
    result = CliRunner().invoke(app, ["validate", str(run.path), "--check", "size", "--json"])
    card = json.loads(result.stdout)
    assert card["lines"][0]["name"] == "size"
    assert result.exit_code == (1 if card["status"] == "fail" else 0)


def test_an_ensemble_is_checked_as_one_model(morse_config):
    from mattertune_nb.training.ensemble import new_ensemble

    series = new_ensemble(morse_config(name="two", max_epochs=1), members=2).train()
    (line,) = series.validate(["spread"]).lines
    assert line.status != "skipped", line.reason
    assert line.numbers["factor"] > 0
    result = CliRunner().invoke(app, ["validate", str(series.path), "--check", "rotation"])
    assert result.exit_code == 0, result.output
    assert "two: 1 passed" in result.output
