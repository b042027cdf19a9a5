"""One directory, one training process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import ClassVar

import ase.io
import pytest
from lightning.pytorch import Callback

import mattertune_nb as mt
from mattertune_nb.training import run_dir
from mattertune_nb.training.files import write_json
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.runs.start import start_run

CLAIM = """
import sys, time
from mattertune_nb.training.runs.start import start_run
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
    monkeypatch.setattr("mattertune_nb.training.claim._LONGEST", 0.2)
    run.claim()
    assert run.status().state == "starting"


def test_a_run_that_is_long_busy_is_alive_seen_from_another_machine(morse_config, monkeypatch):
    monkeypatch.setattr("mattertune_nb.training.runs.heartbeat._SECONDS", 0.02)
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


def at_step(step: int, act) -> Callback:
    """Return a callback that does something once, after an optimizer step."""

    class AtStep(Callback):
        def on_train_batch_end(self, trainer, *args, **kwargs):
            if trainer.global_step == step:
                act()

    return AtStep()


def test_a_run_whose_directory_is_removed_ends_at_its_next_step_and_makes_no_other(morse_config):
    config = morse_config(max_epochs=50)
    run = RunDirectory(config.run.root / "run")
    # between two steps, as from a shell
    callback = at_step(8, lambda: shutil.rmtree(run.path))
    with pytest.raises(mt.RunError, match="removed during training, so the run ended at step 8"):
        mt.MatterTuner(config).tune(callbacks=[callback])
    assert not run.path.exists()
    assert run.status().state == "removed"
    assert not run.status().is_active


def test_a_run_removed_in_a_validation_does_not_save_into_a_new_directory(morse_config):
    config = morse_config(max_epochs=50)
    run = RunDirectory(config.run.root / "run")

    class Remove(Callback):
        def on_validation_end(self, trainer, module):
            shutil.rmtree(run.path, ignore_errors=True)

    with pytest.raises(mt.RunError, match="removed during training"):
        mt.MatterTuner(config).tune(callbacks=[Remove()])
    assert not run.path.exists()


def test_a_run_made_anew_in_the_place_of_a_removed_one_is_left_alone(morse_config, monkeypatch):
    monkeypatch.setattr("mattertune_nb.training.callbacks.supervisor._HEARTBEAT_SECONDS", 0)
    config = morse_config(max_epochs=50)
    run = RunDirectory(config.run.root / "run")

    def make_anew():
        shutil.rmtree(run.path)
        RunDirectory.create(config)
        run.write_status("running", step=1, pid=os.getppid())

    with pytest.raises(mt.RunError, match="removed during training"):
        mt.MatterTuner(config).tune(callbacks=[at_step(8, make_anew)])
    assert run.status().state == "running"
    assert run.status().step == 1
    assert not any(run.checkpoints.iterdir())


def test_a_stop_that_came_too_late_leaves_nothing_behind(morse_config):
    config = morse_config(max_epochs=2)
    run = RunDirectory(config.run.root / "run")
    mt.MatterTuner(config).tune(callbacks=[at_step(10, run.request_stop)])
    assert run.status().state == "finished"
    assert not run.stop_file.exists()
    mt.Run.attach(run.path).stop()
    assert not run.stop_file.exists()
    # nor does the one that was heard
    config.trainer.max_epochs = 50
    mt.MatterTuner(config).resume(run, callbacks=[at_step(13, run.request_stop)])
    assert run.status().state == "stopped"
    assert not run.stop_file.exists()


def test_a_resumed_run_says_from_the_first_moment_where_it_goes_on(morse_config):
    seen = []
    config = morse_config(max_epochs=50)
    run = RunDirectory(config.run.root / "run")

    class Look(Callback):
        def setup(self, trainer, module, stage):
            seen.append(run.status())

        def on_train_start(self, trainer, module):
            seen.append(run.status())

    def stop():
        run.write_status(
            "running", epoch=2, step=13
        )  # as the last heartbeat may be ahead or behind
        run.request_stop()

    mt.MatterTuner(config).tune(callbacks=[at_step(13, stop)])
    stopped = run.status()
    assert (stopped.epoch, stopped.step, stopped.goes_on_at) == (2, 13, (2, 13))
    attached = mt.Run.attach(run.path)
    attached.start()
    assert (attached.status().epoch, attached.status().step) == (2, 13)
    attached.stop()
    attached.wait(120)
    config.trainer.max_epochs = 3
    mt.MatterTuner(config).resume(run, callbacks=[Look()])
    assert all((s.epoch, s.step) >= (2, 13) for s in seen)
    finished = run.status()
    assert (finished.epoch, finished.step, finished.goes_on_at) == (3, 15, (3, 15))


def test_a_crashed_run_goes_on_at_its_checkpoint_and_not_where_it_was_last_seen(morse_config):
    config = morse_config(max_epochs=2)
    mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    run.write_status("running", epoch=2, step=14, pid=2**22 - 1)
    assert run.status().state == "crashed"
    assert run.status().goes_on_at == (2, 10)
    run.claim()
    assert (run.status().epoch, run.status().step) == (2, 10)


@pytest.mark.parametrize(
    "written",
    [
        "[]",
        '{"state": ["running"]}',
        '{"state": "dancing"}',
        '{"state": "running", "pid": "7"}',
        '{"state": "running", "pid": 1e400}',
        '{"state": "running", "pid": 5, "heartbeat": 1e400}',
        '{"state": "running", "pid": 0}',
        '{"state": "stopped", "step": null}',
        '{"state": "running", "heartbeat": {}}',
        "[" * 100_000,
    ],
)
def test_a_status_of_another_shape_reads_as_damaged(small_config, written):
    run, _ = RunDirectory.create(small_config())
    run.status_file.write_text(written)
    status = run.status()
    assert status.state == "crashed"
    assert "no readable status file" in (status.error or "")


def test_a_process_whose_clock_is_far_ahead_is_not_waited_for(small_config):
    run, _ = RunDirectory.create(small_config())
    written = {"state": "running", "pid": 5, "host": "elsewhere"}
    run.status_file.write_text(json.dumps(written | {"heartbeat": time.time() + 60}))
    assert run.status().is_active
    run.status_file.write_text(json.dumps(written | {"heartbeat": 1e300}))
    assert run.status().state == "crashed"
    run.claim()


@pytest.mark.parametrize(
    "bad",
    [
        "7",
        '{"step": "4", "val/loss": 0.1}',
        '{"step": null, "val/loss": 0.1}',
        '{"step": 1e400, "val/loss": 0.1}',
        '{"epoch": [1], "val/loss": 0.1}',
        '{"step": 5, "val/loss": "low"}',
        "[" * 100_000,
    ],
)
def test_a_record_of_another_shape_does_not_spoil_the_others(small_config, bad):
    run, _ = RunDirectory.create(small_config())
    monitor = run.config().trainer.checkpoint.monitor
    good = [json.dumps({"epoch": 0, "step": step, monitor: 1.0 / step}) for step in (1, 2)]
    resumed = '{"kind": "resumed", "step": 9}'
    run.metrics_file.write_text(
        "\n".join([good[0], bad.replace("val/loss", monitor), resumed, good[1], ""])
    )
    assert run.best_metrics()["step"] == 2


NOTEBOOK = """
import sys
import mattertune_nb as mt
config = mt.MatterTunerConfig.from_yaml(sys.argv[1])
result = mt.MatterTuner(config).tune()
assert result.model.baseline["baseline/forces_mae"] > 0
"""


def test_processes_that_are_forked_for_a_notebook_leave_a_status_of_their_own(
    morse_config, tmp_path
):
    config = morse_config(max_epochs=2, devices=2, strategy="ddp_notebook", data={"batch_size": 1})
    config.to_yaml(tmp_path / "config.yaml")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, str(tmp_path / "config.yaml")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path])},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    status = RunDirectory(config.run.root / "run").status()
    assert (status.state, status.epoch, status.step) == ("finished", 2, 10)


@pytest.mark.parametrize("file", ["config.yaml", "versions.json", "status.json"])
def test_a_kill_while_a_directory_is_made_leaves_its_name_free(file, morse_config, monkeypatch):
    from mattertune_nb.training import files

    config = morse_config()
    child = os.fork()
    if child == 0:
        whole = files.write_whole
        monkeypatch.setattr(
            files,
            "write_whole",
            lambda path, write: os._exit(9) if path.name == file else whole(path, write),
        )
        RunDirectory.create(config)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not list(mt.runs(config.run.root).rows)
    monkeypatch.setattr(files, "_MAKING_SECONDS", -1.0)
    run, _ = RunDirectory.create(config)
    assert [path.name for path in config.run.root.iterdir()] == ["run"]
    assert run.status().state == "starting"


def test_folders_that_an_older_version_left_without_a_file_are_no_runs(morse_config):
    config = morse_config()
    (config.run.root / "run" / "checkpoints").mkdir(parents=True)
    run, _ = RunDirectory.create(config)
    assert run.config().run.name == "run"
    with pytest.raises(mt.RunError, match="is in use"):
        RunDirectory.create(config)


def test_two_runs_without_a_name_that_begin_at_one_moment_get_two(small_config, monkeypatch):
    names = iter(["chgnet-now", "chgnet-now", "chgnet-now-2"])
    monkeypatch.setattr(run_dir, "_free_name", lambda root, backbone: next(names))
    config = small_config()
    config.run.name = None
    found = [RunDirectory.create(config)[0].path.name for _ in range(2)]
    assert found == ["chgnet-now", "chgnet-now-2"]
