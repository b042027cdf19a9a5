"""The commands that list and stop runs."""

from __future__ import annotations

import os
import sys
import threading
import time

from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.cli import app


def shell(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_runs_are_listed_with_what_each_gained(morse_config, tmp_path):
    for name, epochs in (("first", 1), ("second", 2)):
        mt.MatterTuner(morse_config(name, max_epochs=epochs)).tune()
    second, second_result, first, first_result = shell("runs", tmp_path / "runs").splitlines()
    assert first.startswith("first  finished  1 epoch, step 5, began ")
    assert second.startswith("second  finished  2 epochs, step 10, began ")
    assert first_result.strip() == str(mt.Run(tmp_path / "runs" / "first").verdict())
    assert second_result.strip() == str(mt.Run(tmp_path / "runs" / "second").verdict())


def test_a_run_that_failed_is_listed_with_its_error(morse_config, tmp_path):
    mt.MatterTuner(morse_config(max_epochs=1)).tune()
    run = mt.Run(tmp_path / "runs" / "run")
    run.directory.write_status("failed", epoch=0, step=3, error="The loss is NaN.\x1b[2J")
    assert shell("runs", tmp_path / "runs").splitlines()[1].strip() == r"The loss is NaN.\x1b[2J"


def test_a_folder_without_runs_says_so(tmp_path):
    assert shell("runs", tmp_path) == f"There are no runs in {tmp_path} yet.\n"
    assert "'none' is no folder. Check the path" in shell("runs", "none")


def test_a_command_ends_as_its_run_did(morse_config, tmp_path):
    config = morse_config(max_epochs=100_000)
    config.to_yaml(tmp_path / "config.yaml")

    def stop() -> None:
        while not mt.runs(tmp_path / "runs"):
            time.sleep(0.05)
        run = mt.Run(tmp_path / "runs" / "run")
        while run.status().step < 1:
            time.sleep(0.05)
        run.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    stopped = CliRunner().invoke(app, ["fit", str(tmp_path / "config.yaml")])
    thread.join()
    assert stopped.exit_code == 130
    assert "To continue: mattertune-nb resume" in stopped.output
    timed = ["resume", str(tmp_path / "runs" / "run"), "--set", "trainer.max_time=00:00:00:01"]
    limited = CliRunner().invoke(app, timed)
    assert (limited.exit_code, mt.Run(tmp_path / "runs" / "run").status().state) == (0, "stopped")


def test_a_run_is_stopped_from_the_shell(morse_config, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    run = mt.MatterTuner(morse_config(max_epochs=100_000)).start()
    assert shell("stop", run.path) == f"{run.path} ends at its next step, with its state saved.\n"
    assert run.wait(120).state == "stopped"
    assert shell("stop", run.path) == f"{run.path} is not training: it is stopped.\n"
