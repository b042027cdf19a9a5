"""One directory, one training process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import ClassVar

import ase.io
import pytest

import mattertune_nb as mt
from mattertune_nb.training.background import start_run
from mattertune_nb.training.files import write_json
from mattertune_nb.training.run_dir import RunDirectory

CLAIM = """
import sys, time
from mattertune_nb.training.background import start_run
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.config.errors import RunError
run = RunDirectory(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    run.claim()
    print("mine", flush=True)
    sys.stdin.readline()
except RunError as exc:
    print(exc, flush=True)
"""


def test_of_processes_that_claim_at_once_one_may_train(small_config):
    run, _ = RunDirectory.create(small_config())
    run.write_status("stopped")
    command = [sys.executable, "-c", CLAIM, str(run.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(6)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.stdout.readline() for process in processes]
    for process in processes:
        process.communicate("end\n")
    assert answers.count("mine\n") == 1
    assert sum("is training this run" in answer for answer in answers) == 5
    assert not (run.path / ".claim").exists()


def test_a_claim_that_was_killed_half_way_holds_nobody_up(small_config, monkeypatch):
    run, _ = RunDirectory.create(small_config())
    (run.path / ".claim").touch()
    monkeypatch.setattr("mattertune_nb.training.run_dir._CLAIM_SECONDS", 0.2)
    run.claim()
    assert run.status().state == "starting"


def test_a_run_that_is_long_busy_is_alive_seen_from_another_machine(morse_config, monkeypatch):
    monkeypatch.setattr("mattertune_nb.training.heartbeat._SECONDS", 0.02)
    config = morse_config(max_epochs=1)
    run, _ = RunDirectory.create(config)

    def let_an_hour_pass():
        status = json.loads(run.status_file.read_text())
        hour_ago = time.time() - 3600
        write_json(run.status_file, status | {"host": "another", "heartbeat": hour_ago})
        os.utime(run.status_file, (hour_ago, hour_ago))

    def state_an_hour_later() -> str:
        let_an_hour_pass()
        end = time.monotonic() + 5
        while run.status().state == "crashed" and time.monotonic() < end:
            time.sleep(0.02)
        return run.status().state

    class Busy(mt.FinetuneModuleBase):
        seen: ClassVar[list[str]] = []

        def __init__(self, config):
            super().__init__(config)
            self.seen.append(state_an_hour_later())  # as while data are checked

        def on_train_start(self):
            self.seen.append(state_an_hour_later())  # as in the untuned baseline

    let_an_hour_pass()
    assert run.status().state == "crashed"
    mt.MatterTuner(config, module_class=Busy).resume(run)
    assert Busy.seen[:2] == ["starting", "running"]
    assert run.status().state == "finished"


def test_a_second_start_is_refused_in_words(small_config):
    run = mt.MatterTuner(small_config()).start()
    with pytest.raises(mt.RunError, match="is training this run"):
        mt.Run.attach(run.path).start()
    assert run.wait(120).state == "finished"


def test_what_cannot_train_is_refused_before_there_is_a_directory(small_config):
    config = small_config()
    config.data.train.forces_key = "REF_forces"
    with pytest.raises(mt.DataError, match=r"ethanol_train.xyz, frame 0: no forces"):
        mt.MatterTuner(config).start()
    with pytest.raises(mt.ConfigError, match=r"lr_scheduler\.T_max"):
        mt.MatterTuner(small_config(max_epochs=-1)).start()
    assert not (config.run.root / "run").exists()


def test_a_frame_that_only_the_runs_process_meets_is_said_and_its_name_stays_free(
    small_config, tmp_path
):
    frames = ase.io.read(mt.demo_data("train"), ":160")
    frames[1].calc = None  # of so many frames not all are looked at beforehand
    file = tmp_path / "frames.xyz"
    ase.io.write(file, frames)
    config = small_config(max_epochs=1)
    config.data.train.src, config.data.train.index = file, ":"
    status = mt.MatterTuner(config).start().wait(120)
    assert status.state == "failed"
    assert "frames.xyz, frame 1: no energy" in status.error
    config.data.train.index = "2:12"
    assert mt.MatterTuner(config).start().wait(120).state == "finished"
    with pytest.raises(mt.RunError, match="is in use"):
        mt.MatterTuner(config).start()


def test_a_run_that_is_asked_to_stop_while_it_starts_stops(small_config):
    run = mt.MatterTuner(small_config(max_epochs=1000)).start()
    run.stop()
    assert run.wait(120).state == "stopped"
    assert run.train_longer(1).status().state == "starting"
    assert not run.directory.stop_file.exists()
    run.stop()
    assert run.wait(120).state == "stopped"


def test_two_processes_train_in_the_background(small_config):
    run = mt.MatterTuner(small_config(devices=2)).start()
    status = run.wait(240)
    assert status.state == "finished", run.log_tail()
    assert "Starting with 2 processes" in run.log_tail(100)


@pytest.mark.parametrize("settings", [{"devices": 2}, {"strategy": "ddp"}], ids=str)
def test_several_processes_in_a_kernel_are_refused_and_pointed_to_start(
    settings, small_config, monkeypatch
):
    monkeypatch.setattr("mattertune_nb.training.hardware._in_notebook", lambda: True)
    with pytest.raises(mt.TrainingError, match=r"run = tuner\.start\(\)"):
        mt.MatterTuner(small_config(**settings)).tune()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'mine'"),
        ("class Model(:", "SyntaxError"),
        ("Model = 3", "is not a subclass of FinetuneModuleBase"),
    ],
)
def test_a_module_class_that_cannot_be_imported_is_said_in_the_status(
    content, reason, small_config, tmp_path, monkeypatch
):
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    config = small_config()
    config.run.module_class = "mine:Model"
    # as the form does, whose kernel never imports what a run needs
    status = start_run(config).wait(120)
    assert status.state == "failed"
    assert "run.module_class: 'mine:Model'" in status.error
    assert reason in status.error
