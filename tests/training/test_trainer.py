"""What Lightning would refuse is said first, a user's checkpoints stay, and time ends a run gently."""

from __future__ import annotations

import fnmatch
import os

import pytest
import torch
from lightning.pytorch import Callback

import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory

REFUSED = {
    "an argument that Lightning lacks": (
        {"additional_trainer_kwargs": {"limit_train_batchs": 2}},
        "Did you mean 'limit_train_batches'?",
    ),
    "a value that Lightning refuses": (
        {"additional_trainer_kwargs": {"limit_train_batches": -2}},
        "invalid value -2",
    ),
    "a strategy with a typo": ({"strategy": "dpp"}, "invalid strategy name"),
    "a strategy for GPUs": ({"strategy": "fsdp"}, "requires a GPU"),
    "devices of a GPU machine": ({"devices": [0]}, "trainer.devices"),
    "all GPUs": ({"devices": -1}, "trainer.devices"),
    "a cluster's machines": ({"num_nodes": 4}, "trainer.num_nodes"),
    "no length for the cosine": ({"max_epochs": -1}, "model.lr_scheduler.T_max"),
    "a validation that never comes": ({"val_check_interval": 99}, "an epoch has 5"),
    "a validation that never comes in a part of an epoch": (
        {"val_check_interval": 4, "additional_trainer_kwargs": {"limit_train_batches": 2}},
        "an epoch has 2",
    ),
    "a validation that never comes in a fraction of an epoch": (
        {"val_check_interval": 4, "additional_trainer_kwargs": {"limit_train_batches": 0.7}},
        "an epoch has 3",
    ),
    "a validation that never comes in a few batches of so many atoms": (
        {
            "val_check_interval": 4,
            "additional_trainer_kwargs": {"overfit_batches": 1},
            "data": {"max_atoms": 16},
        },
        "an epoch has at most 1",
    ),
    "an error that training does not log": (
        {"checkpoint": {"monitor": "train/forces_mae"}},
        "Did you mean 'val/forces_mae'?",
    ),
    "a file name of the run's own": ({"checkpoint": {"filename": "last"}}, "'last'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_a_directory_is_made(case, morse_config):
    settings, message = REFUSED[case]
    config = morse_config(**settings)
    with pytest.raises(mt.MatterTuneError) as info:
        mt.MatterTuner(config).tune()
    assert message in str(info.value)
    assert "\n" not in str(info.value)
    assert not config.run.root.exists()


@pytest.mark.parametrize("further", [{"limit_val_batches": 0}, {"limit_train_batches": 4}])
def test_a_validation_interval_that_lightning_allows_is_allowed(further, morse_config):
    config = morse_config(val_check_interval=4, additional_trainer_kwargs=further, max_epochs=1)
    mt.MatterTuner(config).tune()
    assert RunDirectory(config.run.root / "run").status().state == "finished"


@pytest.mark.parametrize("name", ["total", "energy", "forces"])
def test_a_loss_of_training_can_be_watched(name, morse_config):
    watched = {"monitor": f"train/{name}_loss", "mode": "max"}
    config = morse_config(
        max_epochs=20, checkpoint=watched, early_stopping=watched | {"patience": 1}
    )
    _, trainer = mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    assert run.status().state == "finished"
    assert trainer.current_epoch < 20
    assert run.best.is_file()


def test_an_error_of_setting_up_leaves_no_directory(morse_config):
    class Broken(mt.FinetuneModuleBase):
        def configure_optimizers(self):
            msg = "no such optimizer"
            raise mt.ConfigError(msg)

    config = morse_config()
    with pytest.raises(mt.ConfigError, match="no such optimizer"):
        mt.MatterTuner(config, module_class=Broken).tune()
    assert not list(config.run.root.iterdir())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dirpath": "mine"}, {"mine/[0-2]-*.ckpt"}),
        ({"dirpath": "mine", "filename": "best", "save_last": True}, {"mine/best.ckpt", "mine/last.ckpt"}),
        ({"filename": "m-{epoch}"}, {"runs/run/checkpoints/m-[0-2].ckpt"}),
        ({"save_top_k": -1}, {f"runs/run/checkpoints/{i}-{5 * i + 5}.ckpt" for i in range(3)}),
        ({"filename": "best", "save_last": True}, set()),
        ({}, set()),
    ],
)  # fmt: skip
def test_a_user_s_checkpoints_stand_beside_best_and_last(
    settings, expected, morse_config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = morse_config(checkpoint=settings)
    mt.MatterTuner(config).tune()
    own = {f"runs/run/checkpoints/{name}.ckpt" for name in ("best", "last", "last-previous")}
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.ckpt")}
    assert own <= found
    assert all(fnmatch.filter(found, pattern) for pattern in expected)
    assert len(found) == len(own) + len(expected)
    for path in found:
        mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / path)


def test_max_time_stops_a_run_which_can_then_go_on_for_as_long_again(morse_config):
    config = morse_config(
        max_epochs=None, max_time="00:00:00:01", model={"lr_scheduler": None}, log_every_n_steps=50
    )
    run = RunDirectory(config.run.root / "run")
    mt.MatterTuner(config).tune()
    first = run.status()
    assert first.state == "stopped"
    mt.MatterTuner(config).resume(run)
    assert run.status().state == "stopped"
    assert run.status().step > first.step
    assert torch.load(run.last, weights_only=True)["global_step"] == run.status().step


def test_a_second_ctrl_c_returns_the_model_too(morse_config):
    class Impatient(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step == 7:
                raise KeyboardInterrupt

    config = morse_config()
    model, trainer = mt.MatterTuner(config).tune([Impatient()])
    run = RunDirectory(config.run.root / "run")
    assert run.status().state == "stopped"
    assert isinstance(model, mt.FinetuneModuleBase)
    assert trainer.global_step == 7
    mt.MatterTuner(config).resume(run)
    assert run.status().state == "finished"


def test_the_status_knows_the_steps_of_an_epoch_of_batches_by_atoms(morse_config):
    config = morse_config(
        max_epochs=2, accumulate_grad_batches=2, data={"batch_size": 3, "max_atoms": 12}
    )
    mt.MatterTuner(config).tune()
    status = RunDirectory(config.run.root / "run").status()
    assert status.steps_per_epoch > 1
    assert status.step == 2 * status.steps_per_epoch


def test_resume_refused_leaves_the_config_as_it_was(morse_config):
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    before = run.config_file.read_text()
    config.trainer.accelerator = "gpu"
    with pytest.raises(mt.TrainingError, match=r"trainer\.accelerator"):
        mt.MatterTuner(config).resume(run)
    run.write_status("running", pid=os.getppid())
    config.trainer.accelerator, config.trainer.max_epochs = "cpu", 9
    with pytest.raises(mt.RunError, match="is training this run"):
        mt.MatterTuner(config).resume(run)
    assert run.config_file.read_text() == before


def test_the_record_survives_a_disk_that_is_full_for_a_while(morse_config, monkeypatch):
    from mattertune_nb.training import run_dir

    real, calls = run_dir.append_line, []

    def sometimes_full(path, data):
        calls.append(data)
        if 3 < len(calls) < 9:
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(run_dir, "append_line", sometimes_full)
    config = morse_config()
    mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    assert run.status().state == "finished"
    assert len(run.metrics()) == len(calls) - 5
    assert "No space left on device" in run.log_file.read_text()


def test_a_run_without_any_checkpoint_says_so(morse_config, monkeypatch):
    from mattertune_nb.training import checkpoints

    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_whole", full)
    config = morse_config()
    with pytest.warns(UserWarning, match="No checkpoint could be written"):
        mt.MatterTuner(config).tune()
    status = RunDirectory(config.run.root / "run").status()
    assert status.state == "finished"
    assert "No checkpoint" in status.error


class TurnsNaN(mt.FinetuneModuleBase):
    """Its forces are NaN in each validation but the first."""

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        predictions = self(batch)["predicted_properties"]
        if self.current_epoch:
            predictions["forces"] = predictions["forces"] * torch.nan
        self._compute_loss(predictions, self.batch_to_labels(batch))


def test_an_epoch_whose_validation_is_nan_is_not_the_best_and_stops_the_run(morse_config):
    config = morse_config(max_epochs=5, early_stopping=mt.EarlyStoppingConfig())
    result = mt.MatterTuner(config, module_class=TurnsNaN).tune()
    assert result.trainer.current_epoch == 2
    run = result.run.directory
    assert run.best_metrics()["epoch"] == 0
    assert torch.load(run.best, weights_only=True)["epoch"] == 0


def test_before_averaging_begins_the_model_itself_is_validated_and_kept(morse_config):
    plain = mt.MatterTuner(morse_config("plain")).tune()
    late = mt.MatterTuner(morse_config("late", ema=mt.EMAConfig(start_step=1000))).tune()
    errors = [
        [r["val/energy_mae"] for r in run.metrics() if "val/energy_mae" in r]
        for run in (plain.run, late.run)
    ]
    assert errors[0] == errors[1]
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, late.model.state_dict()[name])
