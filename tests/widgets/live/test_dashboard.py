"""The dashboard is a view of a run's directory, whatever state that is in."""

from __future__ import annotations

import gc
import json
import os
import shutil
import threading
import time

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.training.files import append_line
from mattertune_nb.training.records.reader import RecordReader
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.dashboard import Dashboard
from mattertune_nb.widgets.live.validation_view import ValidationView


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a run that has ended."""
    config = mt.demo_config(tmp_path_factory.mktemp("runs"), "done")
    config.data.train.index = config.data.validation.index = ":6"
    config.data.batch_size = 2
    config.trainer.max_epochs = 2
    mt.MatterTuner(config).tune()
    return mt.Run.attach(config.run.root / "done")


@pytest.fixture
def run(finished, tmp_path):
    """Return a copy of it that a test may spoil."""
    shutil.copytree(finished.path, tmp_path / "run")
    return mt.Run.attach(tmp_path / "run")


def sections_of(view):
    """Return the sections of a dashboard besides its curves."""
    return view.sections.sections[1:]


def test_it_shows_curves_log_parity_and_worst_structures(finished):
    view = finished.dashboard()
    assert "finished" in view._header.value
    assert "epoch 2 of 2" in view._header.value
    assert len(view.data.panels["val/forces_mae"].series["validation"]) == 2
    validation, *_, log = sections_of(view)
    assert "forces MAE" in log.widget.value
    assert bytes(validation._parity.value).startswith(b"\x89PNG")
    assert bytes(validation._worst.value).startswith(b"\x89PNG")
    bundle = view._repr_mimebundle_()
    assert bundle["image/png"]


def test_a_run_that_ended_worse_than_it_began_is_told_so_in_words_and_colour(run):
    assert "better than untuned" in run.dashboard()._verdict.value
    values = {"val/total_loss": 0.0, "val/forces_mae": 0.001, "val/energy_per_atom_mae": 9.0}
    run.directory.append_metrics("metrics", 1, 7, values)
    view = mt.Run.attach(run.path).dashboard()
    view.run.directory.write_status("running", pid=os.getppid())
    view.refresh()
    assert "once the run has ended" in view._verdict.value
    run.directory.write_status("finished")
    view.refresh()
    assert "⚠ Worse than before in energy" in view._verdict.value
    assert "Try: " in view._verdict.value
    assert "#d98000" in view._verdict.value


def test_a_hundred_executions_of_its_cell_leak_nothing(finished):
    view = finished.dashboard()
    threads = threading.active_count()
    import ipywidgets

    gc.collect()
    n_widgets = len(ipywidgets.widgets.widget._instances)
    for _ in range(100):
        assert mt.Run.attach(finished.path).dashboard() is view
        view._repr_mimebundle_()
    assert threading.active_count() <= threads + 1
    gc.collect()
    n_after = len(ipywidgets.widgets.widget._instances)
    assert n_after == n_widgets


def test_attach_takes_a_long_history_about_as_quickly_as_it_is_parsed(run):
    line = '{{"kind":"metrics","time":1.0,"epoch":1,"step":{},"train/total_loss":0.5}}\n'
    lines = [line.format(step) for step in range(100_000)]
    with run.directory.metrics_file.open("a") as file:
        file.writelines(lines)
    # by this thread's own time, and by this machine's: others run beside it
    start = time.thread_time()
    for one in lines:
        json.loads(one)
    parsed = time.thread_time()
    view = run.dashboard()
    assert time.thread_time() - parsed < 40 * (parsed - start)
    assert view.data.step == 99_999


def test_a_dead_process_is_a_crash_that_can_be_resumed(run):
    run.directory.write_status("running", epoch=1, step=3, pid=2**22 - 1)
    view = run.dashboard()
    assert "crashed" in view._header.value
    assert "ended without a message" in view._message.value
    assert not view.resume_button.disabled
    assert view.stop_button.disabled


def test_the_error_of_a_failed_run_is_shown_whole(run):
    run.directory.write_status("failed", error="TrainingError: The loss became nan <here>")
    assert "The loss became nan &lt;here&gt;" in run.dashboard()._message.value


def test_a_directory_deleted_under_it_becomes_a_message(run):
    view = run.dashboard()
    shutil.rmtree(run.path)
    view.refresh()
    assert "was removed" in view._message.value
    assert ">removed<" in view._header.value
    buttons = view.stop_button, view.resume_button, view.longer_button
    assert all(button.disabled for button in buttons)
    assert len(view.data.panels["val/forces_mae"].series["validation"]) == 2


def test_buttons_on_a_directory_that_is_gone_are_a_message(run):
    view = run.dashboard()
    shutil.rmtree(run.path)
    view._do(run.resume)
    assert "was removed" in view._message.value
    assert view.resume_button.disabled
    assert view.longer_button.disabled


def test_stopping_is_said_as_long_as_it_is_true_whoever_asked(run):
    view = run.dashboard()
    run.directory.write_status("running", pid=os.getppid())
    view.refresh()
    assert not view._message.value
    run.stop()  # as from another notebook
    view.refresh()
    assert "Stopping at the next step" in view._message.value
    run.directory.write_status("finished")
    run.directory.stop_file.unlink()  # as the run's process does when it ends
    view.refresh()
    assert not view._message.value
    view.stop_button.click()  # a moment before the page shows that it is disabled
    assert not view._message.value
    assert not run.directory.stop_file.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {name: chg", "cannot be read"),
        ("", "cannot be read"),
        ("an_old_field: 1\nmodel: {name: chgnet}\ndata: {}\n", "an_old_field"),
    ],
    ids=["half-written", "empty", "of an older version"],
)
def test_settings_that_cannot_be_read_become_a_message_and_the_curves_stay(text, message, run):
    run.directory.config_file.write_text(text)
    view = mt.Run.attach(run.path).dashboard()
    assert message in view._message.value
    assert "finished" in view._header.value
    assert len(view.data.panels["val/forces_mae"].series["validation"]) == 2
    (row,) = mt.runs(run.path.parent).rows
    assert (row["run"], row["state"]) == (run.name, "finished")
    view._do(run.resume)
    assert "error" in view._message.value


@pytest.mark.parametrize("name", ["status.json", "validation.json", "splits.json", "metrics.jsonl"])
@pytest.mark.parametrize("damage", ["half", "gone"])
def test_each_file_may_be_half_written_or_missing(name, damage, run):
    file = run.path / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    view = run.dashboard()
    assert "epoch" in view._header.value
    assert view._repr_mimebundle_()


def test_what_could_not_be_read_is_not_said_any_more_once_it_is_mended(run):
    view = run.dashboard()
    for file in (run.directory.validation_file, run.directory.config_file):
        whole = file.read_text()
        file.write_text(whole[: len(whole) // 2] + "\n[")
        for _ in range(2):
            view.refresh()
            assert "cannot be read" in view._message.value
        file.write_text(whole)
        os.utime(file, (1, 1))
        view.refresh()
        assert not view._message.value


def test_the_log_and_what_was_printed_share_the_lines_that_are_shown(run):
    log, console = run.directory.log_file, run.directory.console_file
    log.write_text("log\n" * 100)
    console.write_text("printed\n" * 100)
    assert run.log_tail(31).split("\n") == ["log"] * 16 + ["printed"] * 15
    log.write_text("log\n" * 3)
    assert run.log_tail(31).split("\n") == ["log"] * 3 + ["printed"] * 28
    console.unlink()
    assert run.log_tail(2).split("\n") == ["log"] * 2


def test_colours_for_a_terminal_are_not_shown_as_letters(run):
    run.directory.console_file.write_text("\x1b[1mforces\x1b[0m \x1b[32;1mbetter\x1b[0m\n")
    assert run.log_tail().endswith("forces better")


def test_the_worst_structures_are_shown_where_the_data_are_gone(run, tmp_path):
    config = run.config()
    config.data.validation.src = tmp_path / "moved.xyz"
    config.to_yaml(run.directory.config_file)
    view = run.dashboard()
    assert bytes(sections_of(view)[0]._parity.value).startswith(b"\x89PNG")
    assert bytes(sections_of(view)[0]._worst.value).startswith(b"\x89PNG")


def test_the_worst_structures_have_the_unit_of_what_ranks_them(run):
    file = run.directory.validation_file
    recorded = json.loads(file.read_text())
    seen = []
    for ranked_by in ("energy", "forces"):
        points = {ranked_by: recorded["points"][ranked_by]}
        file.write_text(json.dumps(recorded | {"points": points}))
        view = ValidationView(run)
        view.refresh()
        seen.append(bytes(view._worst.value))
    assert seen[0] != seen[1]


def test_a_record_of_an_older_version_without_structures_leaves_the_parity(run):
    file = run.directory.validation_file
    recorded = json.loads(file.read_text())
    for worst in recorded["worst"]:
        del worst["atoms"]
    file.write_text(json.dumps(recorded))
    view = run.dashboard()
    assert bytes(sections_of(view)[0]._parity.value).startswith(b"\x89PNG")
    assert not sections_of(view)[0]._worst.value


class TwoValidationSets(mt.MatterTuneDataModule):
    """Validates on ethanol, then on stretched ethanol, which is predicted worse."""

    def setup(self, stage):
        super().setup(stage)
        stretched = ase.io.read(mt.demo_data("validation"), ":3")
        for atoms in stretched:
            results = atoms.calc.results
            atoms.positions *= 1.2
            atoms.calc = SinglePointCalculator(atoms, **results)
        self.stretched = as_dataset(stretched)

    def val_dataloader(self):
        return [
            super().val_dataloader(),
            self.lightning_module.create_dataloader(self.stretched, has_labels=True),
        ]


def test_of_several_validation_sets_the_worst_structures_are_those_of_their_own_set(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("mattertune_nb.training.tuner.MatterTuneDataModule", TwoValidationSets)
    config = mt.demo_config(tmp_path, "two-sets")
    config.data.train.index = config.data.validation.index = ":6"
    config.data.batch_size = 2
    config.trainer.max_epochs = 1
    mt.MatterTuner(config).tune()
    run = mt.Run.attach(tmp_path / "two-sets")
    worst = json.loads(run.directory.validation_file.read_text())["worst"]
    stretched = ase.io.read(mt.demo_data("validation"), ":3")
    for found in worst[:3]:
        name, frame = found["source"].split(", frame ")
        assert name == "structures"
        expected = 1.2 * stretched[int(frame)].positions
        np.testing.assert_allclose(found["atoms"]["positions"], expected)
    assert bytes(sections_of(run.dashboard())[0]._worst.value).startswith(b"\x89PNG")


def test_resume_of_a_run_in_training_is_refused_in_words(run):
    run.directory.write_status("running", pid=os.getppid())
    view = run.dashboard()
    view._do(run.resume)
    assert "is training this run" in view._message.value


def test_a_run_made_anew_under_the_same_name_takes_the_place_of_the_old_one(run):
    view = run.dashboard()
    config = run.config()
    config.run.root, config.run.name = run.path.parent, run.path.name
    config.trainer.checkpoint.monitor = "val/forces_mae"
    shutil.rmtree(run.path)
    directory, _ = RunDirectory.create(config)
    again = mt.Run.attach(directory.path)
    assert again.dashboard() is view
    view.refresh()
    assert not view.data.ordered()[0].series
    assert sections_of(view)[0]._caption.value == "No validation yet."
    assert not sections_of(view)[0]._parity.value
    # longer than the old record was, so that its size tells nothing
    for step in range(100):
        values = {"val/forces_mae": 0.9, "val/energy_per_atom_mae": 0.1}
        directory.append_metrics("metrics", step, step, values)
    view.refresh()
    curve = view.data.panels["val/forces_mae"].series["validation"].array()
    assert curve[:, 2].tolist() == [900.0] * 100
    assert view.data.monitor == "val/forces_mae"


def test_a_record_that_was_replaced_between_two_looks_is_read_from_its_beginning(run):
    directory = run.directory
    reader = RecordReader(directory)
    reader.new_records()
    for n in (1, 200):
        directory.metrics_file.unlink()
        for step in range(n):
            directory.append_metrics("metrics", 0, step, {"val/forces_mae": 0.9})
        records, restarted = reader.new_records()
        assert restarted
        assert len(records) == n
    assert reader.new_records() == ([], False)


def test_steps_done_again_after_a_crash_are_shown_once(run):
    view = run.dashboard()
    append_line(run.directory.metrics_file, {"kind": "resumed", "step": 3})
    append_line(
        run.directory.metrics_file,
        {"kind": "metrics", "step": 5, "epoch": 1, "val/forces_mae": 0.5},
    )
    view.refresh()
    values = view.data.panels["val/forces_mae"].series["validation"].array()
    assert values[-1, :3].tolist() == [5, 1, 500]
    assert len(values) == 2


def test_train_longer_in_the_background_then_compare(run):
    view = run.dashboard()
    view.epochs.value = 1
    view.longer_button.click()
    assert run.wait(120).state == "finished"
    assert run.status().epoch == 3
    view.refresh()
    assert "epoch 3 of 3" in view._header.value
    table = mt.runs(run.path.parent)
    assert table.rows[0]["state"] == "finished"
    assert float(table.rows[0]["forces (meV/Å)"]) > 0
    assert "epoch 3" in view._title()


def test_a_run_may_be_called_best(run):
    paths = [shutil.copytree(run.path, run.path.parent / name) for name in ("best", "untuned")]
    figure = mt.compare(*paths).curves.figure.widget
    for name in ("best", "untuned"):
        curves = [t for t in figure.data if t.name.startswith(name) and t.mode == "lines+markers"]
        assert [len(trace.x) for trace in curves] == [2] * len(curves)
        assert len(curves) >= 3


def test_compare_overlays_runs_and_keeps_a_picture_beside_the_figure(finished, run):
    comparison = mt.compare(finished, run.path)
    figure = comparison.curves.figure.widget
    curves = [trace for trace in figure.data if trace.name.startswith(("done ", "run "))]
    assert len(curves) == 2 * len(comparison.data.ordered())
    bundle = comparison._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(bundle)


def test_without_a_front_end_the_dashboard_is_html_in_place_and_a_picture_at_the_end(
    run, monkeypatch
):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    run.directory.write_status("running", pid=os.getppid())
    view = run.dashboard()
    bundle = view._repr_mimebundle_()
    assert "widget-view" not in str(bundle.keys())
    assert "running" in bundle["text/html"]
    assert "<img" in bundle["text/html"]
    run.directory.write_status("finished")
    view.refresh()
    assert set(view._repr_mimebundle_()) == {"text/plain", "image/png"}


def test_a_run_that_is_resumed_elsewhere_is_followed_again(run):
    view = run.dashboard()
    time.sleep(5)  # it looks less often by then
    run.directory.write_status("running", pid=os.getppid())
    end = time.monotonic() + 60
    while "running" not in view._header.value:
        assert time.monotonic() < end, view._header.value
        time.sleep(0.1)


def test_the_end_is_said_before_the_picture_of_it_is_drawn(run, monkeypatch):
    run.directory.write_status("running", pid=os.getppid())
    view = Dashboard(run)
    said = []
    monkeypatch.setattr(view, "renew_picture", lambda: said.append(view._header.value))
    run.directory.write_status("finished")
    view.refresh()
    (header,) = said
    assert "finished" in header
    view.close()


def test_what_waits_for_the_end_and_what_shows_it_say_the_same(run, monkeypatch):
    monkeypatch.setattr(Dashboard, "watch", lambda self: None)
    run.directory.write_status("running", pid=os.getppid())
    view = run.dashboard()
    assert "running" in view._header.value
    threading.Timer(0.5, run.directory.write_status, ["finished"]).start()
    assert run.wait(60).state == "finished"
    assert "finished" in view._header.value
    view.close()


def test_what_a_run_prints_into_its_file_has_no_colours_and_short_lines(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in each notebook's kernel
    config = run.config()
    config.trainer.max_epochs = 3
    run.directory.config_file.write_text(config.to_yaml())
    assert run.start().wait(300).state == "finished"
    run._process.wait(60)  # which tells what came of it once it has ended
    printed = run.directory.console_file.read_bytes()
    assert b"untuned" in printed
    assert b"\x1b" not in printed
    table = [line for line in printed.decode().splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, table)) <= 72
