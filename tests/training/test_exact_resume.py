"""Stopped anywhere and resumed, with whatever settings: the same weights and the same record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import pytest
import torch
from stopping import NoisyModule, StopAfter, assert_same, records, weights

import mattertune_nb as mt
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.run_dir import RunDirectory

pytestmark = pytest.mark.usefixtures("unmeasured")

BATCH, VALIDATION, EPOCH = "on_train_batch_end", "on_validation_batch_end", "on_train_epoch_end"

CASES = {
    "constant rate": ({"model": {"lr_scheduler": None}}, [(BATCH, 2), (BATCH, 8)]),
    "SGD": ({"model": {"optimizer": mt.SGDConfig(lr=1e-2, momentum=0.9)}}, [(BATCH, 3)]),
    "accumulation": ({"accumulate_grad_batches": 2}, [(BATCH, 1), (BATCH, 3), (BATCH, 8)]),
    "validation within the epoch": (
        {"val_check_interval": 2},
        [(BATCH, 3), (BATCH, 4), (VALIDATION, 2), (VALIDATION, 4)],
    ),
    "validation every other epoch": ({"check_val_every_n_epoch": 2}, [(BATCH, 4), (BATCH, 7)]),
    "a part of each epoch": (
        {"additional_trainer_kwargs": {"limit_train_batches": 2}},
        [(BATCH, 1), (BATCH, 3), (VALIDATION, 3), (EPOCH, 1), (EPOCH, 2)],
    ),
    "a part of each epoch, constant rate, steps": (
        {
            "additional_trainer_kwargs": {"limit_train_batches": 0.5},
            "model": {"lr_scheduler": None},
            "max_steps": 5,
        },
        [(BATCH, 1), (EPOCH, 1), (EPOCH, 2)],
    ),
    "validation every four steps, over epochs": (
        {"check_val_every_n_steps": 4},
        [(BATCH, 2), (BATCH, 4), (BATCH, 7), (VALIDATION, 2)],
    ),
    "rates of their own": (
        {"model": {"optimizer": mt.AdamWConfig(lr=1e-2, lr_factors={"r0": 0.1})}},
        [(BATCH, 3)],
    ),
    "average of weights": (
        {"ema": {"decay": 0.9}, "val_check_interval": 2},
        [(BATCH, 3), (VALIDATION, 2), (EPOCH, 1)],
    ),
    "early stopping": (
        {
            "max_epochs": 8,
            "early_stopping": {"monitor": "val/forces_mae", "mode": "max", "patience": 1},
        },
        [(BATCH, 4), (BATCH, 7)],
    ),
    "steps and not epochs": ({"max_steps": 13}, [(BATCH, 3), (BATCH, 5), (BATCH, 10)]),
    "batches of so many atoms": ({"data": {"max_atoms": 16}}, [(BATCH, 3)]),
    "workers": ({"data": {"num_workers": 2}}, [(BATCH, 2), (BATCH, 5), (VALIDATION, 3)]),
    "workers, constant rate": (
        {"data": {"num_workers": 1}, "model": {"lr_scheduler": None}},
        [(BATCH, 7)],
    ),
}

SCHEDULES = [
    mt.StepLRConfig(step_size=1),
    mt.StepLRConfig(step_size=4, interval="step"),
    mt.MultiStepLRConfig(milestones=[1, 2]),
    mt.ExponentialConfig(gamma=0.5),
    mt.ReduceOnPlateauConfig(patience=0),
    mt.LinearLRConfig(total_iters=2),
    mt.ConstantLRConfig(total_iters=2),
    mt.CosineAnnealingLRConfig(interval="epoch", warmup=1),
    mt.OneCycleLRConfig(),
    mt.CosineAnnealingWarmRestartsConfig(T_0=3, interval="step"),
    [mt.LinearLRConfig(total_iters=4, interval="step"), mt.CosineAnnealingLRConfig()],
    [mt.ConstantLRConfig(total_iters=2, interval="step"), mt.CosineAnnealingLRConfig(warmup=4)],
]


def stop_and_resume(config: mt.MatterTunerConfig, *stops: tuple[str, int]) -> RunDirectory:
    run = RunDirectory(config.run.root / str(config.run.name))
    for i, stop in enumerate(stops):
        tuner = mt.MatterTuner(config, module_class=NoisyModule)
        callbacks = [StopAfter(run, *stop)]
        tuner.tune(callbacks) if i == 0 else tuner.resume(run, callbacks)
        assert run.status().state == "stopped"
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    return run


def never_stopped(config: mt.MatterTunerConfig) -> RunDirectory:
    mt.MatterTuner(config, module_class=NoisyModule).tune()
    return RunDirectory(config.run.root / str(config.run.name))


@pytest.mark.parametrize("case", CASES)
def test_any_settings(case, morse_config):
    settings, stops = CASES[case]
    never = never_stopped(morse_config("never", **settings))
    for i, stop in enumerate(stops):
        assert_same(stop_and_resume(morse_config(f"stopped-{i}", **settings), stop), never)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_any_schedule(schedule, morse_config):
    settings = {"model": {"lr_scheduler": schedule}}
    never = never_stopped(morse_config("never", **settings))
    for i, stop in enumerate([(BATCH, 4), (EPOCH, 1)]):
        assert_same(stop_and_resume(morse_config(f"stopped-{i}", **settings), stop), never)


def test_stopped_twice_and_three_times(morse_config):
    never = never_stopped(morse_config("never"))
    assert_same(stop_and_resume(morse_config("twice"), (BATCH, 2), (BATCH, 1)), never)
    stops = (BATCH, 5), (VALIDATION, 2), (BATCH, 2)
    assert_same(stop_and_resume(morse_config("thrice"), *stops), never)


def test_on_a_list_of_structures_which_no_checkpoint_holds(morse_config, copper_xyz):
    never = never_stopped(morse_config("never"))
    config = morse_config("stopped")
    frames = ase.io.read(copper_xyz, ":")
    config.data.dataset = mt.AtomsListDatasetConfig(atoms_list=frames)
    run = stop_and_resume(config, (BATCH, 3))
    assert_same(run, never)
    assert run.config().data == config.data
    for path in run.checkpoints_newest_first():
        settings = torch.load(path, weights_only=True)["datamodule_hyper_parameters"]
        assert settings["dataset"]["type"] == "atoms_list"
        assert "atoms_list" not in settings["dataset"]


@pytest.mark.parametrize("interval", [None, 2])
def test_from_best_where_nothing_else_is_whole(interval, morse_config):
    settings = {"val_check_interval": interval}
    never = never_stopped(morse_config("never", **settings))
    config = morse_config("stopped", **settings)
    run = RunDirectory(config.run.root / "stopped")
    mt.MatterTuner(config, module_class=NoisyModule).tune([StopAfter(run, BATCH, 8)])
    for path in (run.last, run.previous):
        path.write_bytes(path.read_bytes()[:1000])
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert_same(run, never)


def test_more_workers_after_a_resume(morse_config):
    never = never_stopped(morse_config("never"))
    config = morse_config("stopped")
    run = RunDirectory(config.run.root / "stopped")
    mt.MatterTuner(config, module_class=NoisyModule).tune([StopAfter(run, BATCH, 7)])
    config.data.num_workers = 2
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert_same(run, never)


@pytest.mark.parametrize(("warmup", "steps"), [(0, 0), (2, 2), (0.2, 2), (0.09, 0)])
def test_a_longer_run_stretches_its_cosine_and_keeps_its_warm_up(warmup, steps, morse_config):
    settings = {"model": {"lr_scheduler": mt.CosineAnnealingLRConfig(warmup=warmup)}}
    the_same_from_the_start = {"model": {"lr_scheduler": mt.CosineAnnealingLRConfig(warmup=steps)}}

    def rates(name: str) -> list[float]:
        run = RunDirectory(morse_config().run.root / name)
        return [record["lr-AdamW"] for record in run.metrics() if "lr-AdamW" in record]

    never_stopped(morse_config("long", max_epochs=4, **the_same_from_the_start))
    never_stopped(morse_config("longer", max_epochs=2, **settings))
    config = morse_config("longer", max_epochs=4, **settings)
    run = config.run.root / "longer"
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert rates("longer")[10:] == pytest.approx(rates("long")[10:], rel=1e-5, abs=1e-9)
    assert RunDirectory(run).config().trainer.max_epochs == 4


def test_kill_9_at_any_moment_loses_nothing_that_was_saved(morse_config):
    settings = {"max_epochs": 6, "run": {"save_every": 1e-6}, "val_check_interval": 2}
    start = time.monotonic()
    never = never_stopped(morse_config("never", **settings))
    seconds = time.monotonic() - start
    config = morse_config("killed", **settings)
    config.run.name = "killed"
    config.run.root = never.path.parent
    run = RunDirectory(never.path.parent / "killed")
    for part in (0.3, 0.6, 0.2, 0.8):
        child = os.fork()
        if child == 0:
            tuner = mt.MatterTuner(config, module_class=NoisyModule)
            tuner.resume(run) if run.config_file.exists() else tuner.tune()
            os._exit(0)
        time.sleep(part * seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert_same(run, never)
    assert not list(run.path.rglob(".*")), "an unfinished file was left behind"


def test_over_two_processes(morse_config, tmp_path):
    def run_in_two(name: str, *arguments: object) -> RunDirectory:
        config = morse_config(name, devices=2, strategy="ddp", data={"batch_size": 1})
        config.to_yaml(tmp_path / f"{name}.yaml")
        script = Path(__file__).with_name("distributed_resume.py")
        subprocess.run(
            [sys.executable, script, tmp_path / f"{name}.yaml", *map(str, arguments)],
            check=True,
            timeout=200,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "site"), *sys.path]))},
        )
        return RunDirectory(config.run.root / name)

    never = run_in_two("never")
    assert_same(run_in_two("stopped", BATCH, 3), never)
    assert len(records(never)) > 15
    assert weights(never.last).isfinite().all()


SAVES = {"save_every": 1e-6}
"""Save after each step."""


@pytest.mark.parametrize("saves", [2, 5, 6, 8], ids="after {} saves".format)
def test_a_kill_between_a_checkpoint_and_its_record_loses_no_record(
    saves, morse_config, monkeypatch
):
    class LogsMore(NoisyModule):
        """Logs at the end of an epoch, too, which is recorded after the epoch's checkpoint."""

        def on_train_epoch_end(self):
            self.log("train/epochs", float(self.current_epoch))

    save, left = RunSupervisor._save, [saves]

    def killed_after(self, *args):
        save(self, *args)
        left[0] -= 1
        if not left[0]:
            os._exit(9)

    never = morse_config("never", run=SAVES)
    mt.MatterTuner(never, module_class=LogsMore).tune()
    config = morse_config("killed", run=SAVES)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(RunSupervisor, "_save", killed_after)
        mt.MatterTuner(config, module_class=LogsMore).tune()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    mt.MatterTuner(config, module_class=LogsMore).resume(config.run.root / "killed")
    run, whole = (RunDirectory(config.run.root / name) for name in ("killed", "never"))
    assert any("train/epochs" in record for record in run.metrics())
    assert_same(run, whole)


@pytest.mark.parametrize("stop", [(BATCH, 3), (EPOCH, 1)])
@pytest.mark.parametrize("left", [0.0, 0.5], ids=["lost", "torn"])
def test_a_last_line_that_is_torn_is_completed(left, stop, morse_config):
    never = never_stopped(morse_config("never"))
    config = morse_config("torn")
    run = RunDirectory(config.run.root / "torn")
    mt.MatterTuner(config, module_class=NoisyModule).tune([StopAfter(run, *stop)])
    lines = run.metrics_file.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1][: int(left * len(lines[-1]))]
    run.metrics_file.write_bytes(b"".join(lines))
    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert_same(run, never)
