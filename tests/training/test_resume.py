"""CHGNet stopped, killed, out of disk space, with damaged checkpoints, and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from ase.build import bulk
from lightning.pytorch import Callback
from stopping import NoisyModule, StopAfter, assert_same

import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory

pytestmark = pytest.mark.usefixtures("unmeasured")

SETTINGS = {
    "mid-accumulation": ({"accumulate_grad_batches": 2}, "on_train_batch_end", 6),
    "during validation": ({}, "on_validation_batch_end", 3),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_stopped_and_resumed_run_equals_one_never_stopped(case, small_config, tmp_path):
    trainer, hook, calls = SETTINGS[case]
    config = small_config(**trainer)
    config.model.lr_scheduler = [
        mt.CosineAnnealingLRConfig(warmup=2),
        mt.ReduceOnPlateauConfig(patience=0),
    ]
    config.run.root = tmp_path / "never"
    mt.MatterTuner(config, module_class=NoisyModule).tune()

    config.run.root = tmp_path / "stopped"
    run = RunDirectory(tmp_path / "stopped" / "run")
    result = mt.MatterTuner(config, module_class=NoisyModule).tune(
        callbacks=[StopAfter(run, hook, calls)]
    )
    assert run.status().state == "stopped"
    assert 0 < result.trainer.global_step < 15
    assert isinstance(result.model, NoisyModule)

    mt.MatterTuner(config, module_class=NoisyModule).resume(run)
    assert run.status().state == "finished"
    assert_same(run, RunDirectory(tmp_path / "never" / "run"))


@pytest.mark.parametrize("damage", ["half of last", "no checkpoint", "all damaged"])
def test_resume_takes_the_newest_whole_checkpoint(damage, small_config, tmp_path):
    config = small_config(max_epochs=2)
    mt.MatterTuner(config).tune()
    run = RunDirectory(tmp_path / "run")
    before = run.metrics()
    if damage == "half of last":
        run.last.write_bytes(run.last.read_bytes()[: run.last.stat().st_size // 2])
    else:
        for path in run.checkpoints_newest_first():
            path.unlink() if damage == "no checkpoint" else path.write_bytes(b"PK\x03\x04")
    config.trainer.max_epochs = 3
    result = mt.MatterTuner(config).resume(run)
    assert result.trainer.current_epoch == 3
    assert torch.load(run.last, weights_only=True)["global_step"] == 15
    assert run.status().state == "finished"
    steps = [r["step"] for r in run.metrics() if "val/forces_mae" in r]
    assert steps == sorted(set(steps))
    assert len(run.metrics()) > len(before)


def test_kill_9_then_resume(small_config, tmp_path):
    config = small_config(max_epochs=4)
    config.run.save_every = 1e-6  # after every step
    config.to_yaml(tmp_path / "config.yaml")
    command = [sys.executable, "-m", "mattertune_nb.cli"]
    process = subprocess.Popen(
        [*command, "fit", str(tmp_path / "config.yaml")], stdout=subprocess.DEVNULL
    )
    run = RunDirectory(tmp_path / "run")
    wait_for(lambda: run.last.exists() and run.status().step > 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run.status().state == "crashed"
    subprocess.run(
        [*command, "resume", "--quiet", str(run.path)], check=True, stdout=subprocess.DEVNULL
    )
    assert run.status().state == "finished"
    assert torch.load(run.last, weights_only=True)["global_step"] == 20


def test_worse_weights_do_not_replace_the_best_of_a_run_that_was_moved(morse_config, tmp_path):
    run = mt.MatterTuner(morse_config()).tune().run
    best = run.directory.best.read_bytes()
    path = run.path.rename(tmp_path / "elsewhere")
    config = mt.Run.attach(path).config()
    config.trainer.max_epochs = 4
    config.model.optimizer.lr = 10.0
    run = mt.MatterTuner(config).resume(path).run
    losses = [r["val/total_loss"] for r in run.metrics() if "val/total_loss" in r]
    assert losses[-1] > min(losses)
    assert run.directory.best.read_bytes() == best


def test_a_users_own_checkpoint_knows_its_best_in_a_run_that_was_moved(morse_config, tmp_path):
    kept = mt.ModelCheckpointConfig(filename="mine/{epoch}", save_top_k=1)
    run = mt.MatterTuner(morse_config(checkpoint=kept)).tune().run
    (best,) = (run.directory.checkpoints / "mine").iterdir()
    path = run.path.rename(tmp_path / "elsewhere")
    config = mt.Run.attach(path).config()
    config.trainer.max_epochs = 4
    config.model.optimizer.lr = 10.0
    result = mt.MatterTuner(config).resume(path)
    ours = result.trainer.checkpoint_callbacks
    (mine,) = (c for c in ours if getattr(c, "filename", None) == kept.filename)
    losses = [r["val/total_loss"] for r in result.run.metrics() if "val/total_loss" in r]
    assert losses[-1] > min(losses)
    assert float(mine.best_model_score) == pytest.approx(min(losses))
    # the worse weights were not kept in its place
    here = result.run.directory.checkpoints / "mine"
    assert list(here.iterdir()) == [here / best.name]
    assert mine.best_model_path == str(here / best.name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_its_last_state_saved(number, small_config, tmp_path):
    config = small_config(max_epochs=50)
    config.to_yaml(tmp_path / "config.yaml")
    process = subprocess.Popen(
        [sys.executable, "-m", "mattertune_nb.cli", "fit", str(tmp_path / "config.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    run = RunDirectory(tmp_path / "run")
    wait_for(lambda: run.status().step > 1)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number, output.decode()
    assert b"Traceback" not in output
    assert f"To continue: mattertune-nb resume {tmp_path / 'run'}" in output.decode()
    assert run.status().state == "stopped"
    assert torch.load(run.last, weights_only=True)["global_step"] == run.status().step


@pytest.mark.parametrize(
    ("hook", "first"), [("on_sanity_check_end", 2), ("on_validation_batch_end", 0)]
)
@pytest.mark.filterwarnings("ignore:.*Stopped before the first step")
def test_a_signal_within_a_validation_is_no_failure(hook, first, small_config, tmp_path):
    class Kill(Callback):
        def kill(self, *args, **kwargs):
            os.kill(os.getpid(), signal.SIGTERM)

    callback = Kill()
    setattr(callback, hook, callback.kill)
    config = small_config(max_epochs=3, num_sanity_val_steps=first)
    mt.MatterTuner(config).tune(callbacks=[callback])
    assert RunDirectory(tmp_path / "run").status().state == "stopped"


def test_a_full_disk_costs_a_save_and_not_the_run(small_config, tmp_path, monkeypatch):
    from mattertune_nb.training import checkpoints

    real, saved = checkpoints.write_whole, []

    def sometimes_full(path, write):
        saved.append(path)
        if len(saved) in (2, 3):
            raise OSError(28, "No space left on device")
        real(path, write)

    monkeypatch.setattr(checkpoints, "write_whole", sometimes_full)
    mt.MatterTuner(small_config(max_epochs=2)).tune()
    run = RunDirectory(tmp_path / "run")
    assert run.status().state == "finished"
    assert "No space left on device" in run.log_file.read_text()
    assert torch.load(run.last, weights_only=True)["global_step"] == 10
    assert not [p for p in run.checkpoints.iterdir() if p.suffix != ".ckpt"]


def test_a_hostile_checkpoint_is_refused_and_never_run(small_config, tmp_path):
    import pickle

    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    path = tmp_path / "hostile.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Hostile()}, path, pickle_module=pickle)
    with pytest.raises(mt.TrainingError, match="refused"):
        mt.FinetuneModuleBase.load_from_checkpoint(path)
    assert not (tmp_path / "owned").exists()


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_a_run_is_loaded_as_the_class_that_trained_it_and_in_its_precision(morse_config):
    config = morse_config(precision="64-true")
    model, _ = result = mt.MatterTuner(config, module_class=NoisyModule).tune()
    run = result.run
    loaded = run.model()
    assert type(loaded) is NoisyModule
    assert {p.dtype for p in loaded.parameters()} == {torch.float64}
    atoms = bulk("Cu")
    (own,), (kept,) = (m.property_predictor().predict([atoms]) for m in (model, loaded))
    assert kept["energy"] == own["energy"]
    with pytest.warns(UserWarning, match=r"best\.ckpt was made by NoisyModule"):
        mt.FinetuneModuleBase.load_from_checkpoint(run.directory.best)
