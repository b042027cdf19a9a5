"""The table of runs tells what their records say, and touches nothing but what it is asked to."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import time
from dataclasses import replace

import pytest

import mattertune_nb as mt
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.records.summary import Summary
from mattertune_nb.training.runs.runs_folder import RunsFolder
from mattertune_nb.training.setting_labels import Called
from mattertune_nb.widgets.live import runs as live_runs
from mattertune_nb.widgets.live.differences import differences, parallel_figure


@pytest.fixture
def folder(morse_config):
    """Return a folder with two short runs that differ in one setting."""
    for name, batch_size in (("a", 2), ("b", 3)):
        mt.MatterTuner(morse_config(name=name, data={"batch_size": batch_size})).tune()
    return morse_config().run.root


def press(table, action: str, run: str, text: str = "") -> None:
    """Do what the page does where a button of a row is pressed."""
    table._on_message(None, {"action": action, "run": run, "text": text}, [])


def test_errors_are_those_of_the_best_validation_in_mev(folder):
    lines = (folder / "a" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    validations = [r for r in records if "val/total_loss" in r]
    best = min(validations, key=lambda r: r["val/total_loss"])
    (baseline,) = [r for r in records if "baseline/forces_mae" in r]
    row = {row["run"]: row for row in mt.runs(folder).rows}["a"]
    assert float(row["forces (meV/Å)"]) == pytest.approx(1e3 * best["val/forces_mae"], abs=0.06)
    untuned = float(row["forces, untuned (meV/Å)"])
    assert untuned == pytest.approx(1e3 * baseline["baseline/forces_mae"], abs=0.06)
    energy = float(row["untuned, energies re-referenced (meV/atom)"])
    expected = 1e3 * baseline["baseline/referenced_energy_per_atom_mae"]
    assert energy == pytest.approx(expected, abs=0.06)
    assert row["data"] == "copper.xyz, 9 + 5 frames"
    assert row["epochs"] == "3"
    assert row["state"] == "finished"
    assert row["verdict"] == str(mt.Run.attach(folder / "a").verdict())
    assert row["settings"] == "Batch size = 2 structures"


def test_the_newest_comes_first_and_numbers_are_sorted_as_numbers(folder):
    table = mt.runs(folder)
    assert [row["run"] for row in table.rows] == ["b", "a"]
    for line in table._table.table:
        assert float(line["cells"]["forces (meV/Å)"]) == pytest.approx(
            line["keys"]["forces (meV/Å)"], abs=0.06
        )


def test_a_run_is_renamed_annotated_and_opened(folder):
    table = mt.runs(folder)
    press(table, "note", "a", "the first one")
    press(table, "rename", "a", "copper")
    rows = {row["run"]: row for row in table.rows}
    assert rows["copper"]["note"] == "the first one"
    assert not (folder / "a").exists()
    press(table, "open", "copper")
    close, view = table._opened.children
    assert view.run.path == folder / "copper"
    close.click()
    assert table._opened.children == ()
    press(table, "open", "copper")
    assert table._opened.children == (close, view)
    for bad in ("b", "../c", "", ".hidden"):
        press(table, "rename", "copper", bad)
        assert table._table.message
        assert (folder / "copper").is_dir()


def test_only_a_run_of_the_folder_that_is_not_training_is_deleted(folder, tmp_path):
    outside = shutil.copytree(folder / "a", tmp_path / "outside")
    (folder / "link").symlink_to(outside)
    table = mt.runs(folder)
    for name in ("../outside", str(outside), "link", ".", ""):
        press(table, "delete", name)
        assert table._table.message
    assert outside.is_dir()
    mt.Run.attach(folder / "b").directory.write_status("running", pid=os.getppid())
    press(table, "delete", "b")
    assert "is training" in table._table.message
    press(table, "delete", "a")
    assert not (folder / "a").exists()
    assert (folder / "b").is_dir()


def test_five_hundred_runs_are_listed_within_a_second(folder, tmp_path):
    many = tmp_path / "many"
    for i in range(500):
        shutil.copytree(
            folder / "a", many / f"run-{i}", ignore=shutil.ignore_patterns("checkpoints")
        )
    start = time.thread_time()  # tests run beside each other, and threads of those before
    table = mt.runs(many)
    assert time.thread_time() - start < 2
    assert len(table) == 500
    assert len(table.children) == 3  # and no widget a row


def test_without_a_front_end_the_table_is_text(folder, monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    table = mt.runs(folder)
    assert set(table._repr_mimebundle_()) == {"text/plain", "text/html"}
    page = table._repr_html_()
    assert "copper.xyz" in page
    # words stand below the numbers, in the width of all columns, and empty columns are left out
    columns = [re.sub("<.*?>", "", name) for name in re.findall("<th[^>]*>(.*?)</th>", page)]
    # no unit, date or short name is broken, also where only styles of elements are trusted
    for whole in ("(meV/Å)", time.strftime("%Y-%m-%d", time.localtime())):
        assert f"<span style='white-space:nowrap'>{whole}</span>" in page
    words = {"verdict", "settings", "note"}
    empty = {name for name in table.rows[0] if {row[name] for row in table.rows} <= {"", "–"}}
    assert empty - words
    assert set(columns) == set(table.rows[0]) - words - empty
    below = re.findall(f"<td colspan='{len(columns)}'[^>]*>(.*?)</td>", page)
    assert len(below) == len(table)
    for row, text in zip(table.rows, below, strict=True):
        assert unbroken(row["verdict"]) in html.unescape(text)
    assert "copper.xyz" in repr(table)
    nowhere = mt.runs(folder / "none")
    assert repr(nowhere).startswith(f"There are no runs: '{folder / 'none'}' is no folder.")
    assert html.unescape(nowhere._repr_html_()) == repr(nowhere)
    (folder / "none").mkdir()
    assert repr(nowhere) == f"There are no runs in {folder / 'none'} yet."


def test_parallel_coordinates_show_what_differs_and_the_best_error():
    def run(lr, optimizer, error):
        settings = {"model.optimizer.lr": lr, "model.optimizer.name": optimizer}
        settings |= {"trainer.devices": 1, "run.name": str(lr)}
        return Summary(settings=settings, best={"epoch": 0, "val/forces_mae": error}, n_epochs=1)

    runs = {"a": run(1e-3, "adamw", 0.2), "b": run(1e-4, "sgd", 0.05)}
    name, lr, optimizer, best = parallel_figure(runs).data[0].dimensions
    assert [name["ticktext"][i] for i in name["values"]] == ["a", "b"]
    assert lr["values"] == (1e-3, 1e-4)
    assert [optimizer["ticktext"][i] for i in optimizer["values"]] == ["AdamW", "SGD"]
    assert (lr["label"], optimizer["label"]) == ("Learning rate", "Kind of optimizer")
    assert best["label"] == "best forces (meV/Å)"
    assert best["values"] == pytest.approx((200, 50))
    assert parallel_figure(runs).data[0].line.color == pytest.approx((200, 50))
    assert parallel_figure({"a": runs["a"]}) is None
    assert differences([runs["a"].settings] * 2, Called([runs["a"].settings])) == [{}, {}]


def test_settings_are_called_by_their_labels_with_their_names_in_a_config(folder):
    (line,) = [line for line in mt.runs(folder)._table.table if line["run"] == "a"]
    assert line["settings"] == [["Batch size = 2 structures", "data.batch_size"]]
    compared = mt.compare(folder / "a", folder / "b")
    assert "Batch size" in [axis["label"] for axis in compared.parallel.data[0].dimensions]
    assert "Batch size is data.batch_size" in compared.names.value


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_of_compared_runs_is_the_best_by_their_mode(mode, folder):
    for name, values in (("a", (0.2, 0.5)), ("b", (0.9, 0.1))):
        run = RunsFolder(folder).run(name)
        config = run.config()
        config.trainer.checkpoint.monitor = "val/forces_mae"
        config.trainer.checkpoint.mode = mode
        run.directory.config_file.write_text(config.to_yaml())
        run.directory.metrics_file.unlink()
        for epoch, value in enumerate(values):
            run.directory.append_metrics("metrics", epoch, epoch, {"val/forces_mae": value})
    panel = mt.compare(folder / "a", folder / "b").data.panels["val/forces_mae"]
    assert panel.best.value == {"min": 100, "max": 900}[mode]


def state_in(table, run: str) -> str:
    """Return what the page shows of a run's state."""
    return {line["run"]: line["cells"]["state"] for line in table._table.table}.get(run, "")


def wait_for_state(table, run: str, state: str) -> None:
    """Wait until the page shows a state."""
    end = time.monotonic() + 60
    while state_in(table, run) != state:
        assert time.monotonic() < end, state_in(table, run)
        time.sleep(0.05)


def test_a_run_that_ends_is_told_without_a_new_table(folder, monkeypatch):
    monkeypatch.setattr(live_runs, "_SECONDS", 0.05)
    run = mt.Run.attach(folder / "a")
    ended = run.status()
    states = {"a": replace(ended, state="running")}
    status = mt.Run.status
    monkeypatch.setattr(mt.Run, "status", lambda self: states.get(self.name) or status(self))
    table = mt.runs(folder)
    assert state_in(table, "a") == "running"
    time.sleep(0.3)
    assert state_in(table, "a") == "running"
    states.clear()
    wait_for_state(table, "a", "finished")
    table.close()


def test_a_run_that_is_begun_elsewhere_is_told_without_a_new_table(folder, monkeypatch):
    monkeypatch.setattr(live_runs, "_SECONDS", 0.05)
    table = mt.runs(folder)
    readings, read = [], table._read
    monkeypatch.setattr(table, "_read", lambda: readings.append(1) or read())
    time.sleep(1.0)
    # without anything new nothing is read, but in the first look
    assert len(readings) <= 1
    shutil.copytree(folder / "a", folder / "c")
    wait_for_state(table, "c", "finished")
    run = mt.Run.attach(folder / "b")
    run.directory.write_status("running", pid=os.getppid())
    wait_for_state(table, "b", "running")
    table.close()
    table._thread.join(60)
    assert not table._thread.is_alive()


def test_where_there_is_nothing_to_compare_a_sentence_says_so(folder):
    assert mt.compare().text.startswith("No runs to compare. Give two or more")
    (folder / "a" / "metrics.jsonl").write_text("")
    empty, compared = mt.compare(folder / "a"), mt.compare(folder / "b")
    assert "no validation errors yet" in empty.nothing.value
    assert compared.nothing.value == ""
    with pytest.raises(
        mt.RunError, match=f"a folder of runs. Give one of them, e.g. {folder / 'a'}"
    ):
        mt.compare(folder)
    with pytest.raises(mt.ConfigError, match="a RunsTable cannot be compared"):
        mt.compare(mt.runs(folder))


def test_a_kind_is_told_with_what_was_changed_in_it_and_no_defaults_of_the_others():
    flat = {"model.optimizer.name": "sgd", "model.optimizer.lr": 0.01}
    momentum = {"model.optimizer.momentum": 0.9, "model.optimizer.nesterov": False}
    split = {"data.type": "auto_split", "data.dataset.src": "a.xyz", "data.dataset.further": []}
    split |= {"data.dataset.type": "xyz", "data.dataset.isolated_atoms": "references"}
    files = {"data.type": "manual_split", "data.train.src": "b.xyz", "data.train.further": []}
    files |= {"data.train.type": "xyz", "data.train.isolated_atoms": "references"}
    one, other = flat | momentum | split, {"model.optimizer.name": "adamw"} | files
    told, _ = differences([one, other], Called([one, other]))
    assert told["data.type"] == "auto_split"
    assert told["data.dataset.src"] == "a.xyz"
    assert told["model.optimizer.lr"] == 0.01
    assert not {"data.dataset.further", "data.dataset.isolated_atoms"} & told.keys()
