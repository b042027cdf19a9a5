"""Settings, records and checkpoints with odd contents are read, or told to be damaged, in words."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import strategies as st
from odd import fuzz, mutated, refused_in_words
from test_odd_records import LINES, STATUSES, show_everything
from test_yaml import changes, config_or_an_error, edited, settings_or_an_error

import mattertune_nb as mt
from mattertune_nb.doctor.finding import Finding, Report
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.physics.scorecard import Line, Scorecard, read_scorecard
from mattertune_nb.training.records.findings import read_findings, write_findings

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(0)]


def test_settings_that_were_edited_badly(amount):
    fuzz(settings_or_an_error, edited(), examples=amount("examples", 300))


def test_changes_on_the_command_line(amount):
    fuzz(config_or_an_error, changes(), examples=amount("examples", 300))


def test_odd_records_and_a_damaged_status(amount):
    each = max(amount("examples", 300) // 20, 10)
    fuzz(show_everything, st.lists(LINES, max_size=6), STATUSES, examples=each)


@pytest.fixture
def run(morse_config):
    """Return a run that has ended, with whatever a run leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = mt.MatterTuner(morse_config(max_epochs=2, ema={"decay": 0.9})).tune().run
    write_findings(
        run.directory, Report((Finding("units", "warning", "odd", "look", "mend it", (1, 2)),), 3)
    )
    card = Scorecard("run", [Line("drift", "Drift", "pass", "1", "2", "", "small")], ["a note"])
    run.directory.scorecard_file.write_text(card.to_json())
    return run


JSON = [
    b"nan",
    b"-1",
    b"1e400",
    b"9" * 400,
    b"null",
    b"[]",
    b"{}",
    b"[[1]]",
    b'"a"',
    b"true",
    b"\xff",
]


def look_at(path: Path) -> None:
    """Look at a run in each of the ways that take no structure."""
    run = mt.Run.attach(path)
    assert repr(run)
    assert str(run.verdict()) is not None
    assert "run" in repr(mt.runs(path.parent))
    run.metrics(), run.directory.best_metrics(), run.directory.splits(), run.log_tail()
    read_findings(run.directory)
    read_scorecard(run.directory.scorecard_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dashboard = run.dashboard()
        dashboard.refresh()
        dashboard.close()


KINDS = ("*.json", "*.jsonl", "*.txt", "*.yaml")


@pytest.mark.parametrize("what", ["look", "report"])
def test_what_a_run_left_with_bytes_changed(what, run, amount, tmp_path):
    names = sorted(p.name for kind in KINDS for p in run.path.glob(kind))
    assert {"status.json", "metrics.jsonl", "findings.json", "scorecard.json"} <= set(names)
    contents = {name: (run.path / name).read_bytes() for name in names}

    def damaged_is_shown_or_refused(name: str, data) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            copy = Path(folder) / "run"
            shutil.copytree(run.path, copy)
            (copy / name).write_bytes(data.draw(mutated(contents[name], JSON)))
            if what == "look":
                refused_in_words(lambda: look_at(copy))
            else:
                refused_in_words(lambda: mt.Run(copy).report(Path(folder) / "r.html"))

    each = max(amount("examples", 300) // (50 if what == "look" else 500), 10)
    fuzz(damaged_is_shown_or_refused, st.sampled_from(names), st.data(), examples=each)


@st.composite
def replaced(draw, content: bytes) -> bytes:
    """Return JSON of another shape: any value of it is another."""
    data = json.loads(content)
    value = draw(st.sampled_from(JSON[:-1]))
    value = json.loads(value.replace(b"nan", b"NaN"))
    place = data
    while isinstance(place, (dict, list)) and place:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.booleans()):
            place[key] = value
            return json.dumps(data).encode()
        place = place[key]
    return json.dumps(value).encode()


def test_what_a_run_left_with_values_of_another_kind(run, amount, tmp_path):
    names = sorted(p.name for p in run.path.glob("*.json"))
    contents = {name: (run.path / name).read_bytes() for name in names}

    def odd_is_shown_or_refused(name: str, data) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            copy = Path(folder) / "run"
            shutil.copytree(run.path, copy)
            (copy / name).write_bytes(data.draw(replaced(contents[name])))
            refused_in_words(lambda: look_at(copy))

    each = max(amount("examples", 300) // 50, 10)
    fuzz(odd_is_shown_or_refused, st.sampled_from(names), st.data(), examples=each)


def test_checkpoints_with_bytes_changed(run, amount, tmp_path):
    content = run.directory.best.read_bytes()
    path = tmp_path / "a.ckpt"

    def damaged_is_read_or_refused(damaged: bytes) -> None:
        path.write_bytes(damaged)
        if not refused_in_words(lambda: read_checkpoint(path)):
            refused_in_words(lambda: mt.FinetuneModuleBase.load_from_checkpoint(path))

    words = [b"cos\nsystem\n", b"\x80\x02", b"R.", b"PK\x03\x04", b"", b"\x00" * 9, b"torch", b"."]
    each = max(amount("examples", 300) // 5, 10)
    fuzz(damaged_is_read_or_refused, mutated(content, words), examples=each)
