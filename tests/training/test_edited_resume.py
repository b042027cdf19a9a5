"""A run resumed with other settings: what may change takes effect, what may not is refused by name."""

from __future__ import annotations

import json
import shutil

import ase.io
import pytest
import torch
from stopping import StopAfter
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.training.outcome.evaluation import evaluate
from mattertune_nb.training.run_dir import RunDirectory

pytestmark = pytest.mark.usefixtures("unmeasured")


def resumed(config: mt.MatterTunerConfig) -> RunDirectory:
    return mt.MatterTuner(config).resume(config.run.root / str(config.run.name)).run.directory


def rates(run: RunDirectory) -> list[float]:
    return [record["lr-AdamW"] for record in run.metrics() if "lr-AdamW" in record]


def optimizer_of(run: RunDirectory) -> dict:
    (optimizer,) = torch.load(run.last, weights_only=True)["optimizer_states"]
    return optimizer["param_groups"][0]


def changed(run: RunDirectory) -> dict:
    (record,) = [r for r in run.metrics() if r["kind"] == "changed"]
    return record


def test_a_lower_rate_is_the_one_that_runs_and_is_recorded(morse_config):
    config = morse_config(max_epochs=1, model={"lr_scheduler": None})
    mt.MatterTuner(config).tune()
    config.model.optimizer.lr, config.trainer.max_epochs = 1e-5, 2
    run = resumed(config)
    assert rates(run) == [1e-2] * 5 + [1e-5] * 5
    assert changed(run)["settings"] == {
        "model.optimizer.lr": [1e-2, 1e-5],
        "trainer.max_epochs": [1, 2],
    }
    assert "model.optimizer.lr: 0.01 → 1e-05" in run.log_file.read_text()
    config.trainer.max_epochs = 3
    assert rates(resumed(config))[10:] == [1e-5] * 5


def test_a_finished_cosine_goes_on_at_a_constant_rate(morse_config):
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    config.model.lr_scheduler, config.model.optimizer.lr = None, 3e-3
    config.trainer.max_epochs = 2
    assert rates(resumed(config))[5:] == [3e-3] * 5


SCHEDULES = {
    "factor": (mt.StepLRConfig(step_size=1, gamma=0.5), mt.StepLRConfig(step_size=1, gamma=0.9)),
    "kind": (mt.ExponentialConfig(gamma=0.9), mt.CosineAnnealingLRConfig(T_max=30)),
    "interval": (
        mt.ExponentialConfig(gamma=0.9),
        mt.ExponentialConfig(gamma=0.9, interval="step"),
    ),
    "one to many": (
        None,
        [mt.LinearLRConfig(total_iters=4, interval="step"), mt.CosineAnnealingLRConfig()],
    ),
    "to one cycle": (mt.CosineAnnealingLRConfig(), mt.OneCycleLRConfig()),
    "from one cycle": (mt.OneCycleLRConfig(), mt.StepLRConfig(step_size=1)),
    "beside a plateau": (
        [mt.CosineAnnealingLRConfig(), mt.ReduceOnPlateauConfig()],
        [mt.CosineAnnealingLRConfig(eta_min=1e-3), mt.ReduceOnPlateauConfig()],
    ),
}


@pytest.mark.parametrize("stop", [("on_train_batch_end", 8), ("on_train_epoch_end", 2)])
@pytest.mark.parametrize("case", SCHEDULES)
def test_another_schedule_holds_as_if_it_always_had(case, stop, morse_config):
    before, after = SCHEDULES[case]
    always = morse_config("always", max_epochs=4, model={"lr_scheduler": after})
    mt.MatterTuner(always).tune()
    config = morse_config("edited", max_epochs=4, model={"lr_scheduler": before})
    run = RunDirectory(config.run.root / "edited")
    mt.MatterTuner(config).tune([StopAfter(run, *stop)])
    n_before = len(rates(run))
    config.model.lr_scheduler = after
    resumed(config)
    expected = rates(RunDirectory(always.run.root / "always"))
    assert rates(run)[n_before:] == pytest.approx(expected[n_before:], rel=1e-6)


def test_a_plateau_has_its_own_patience_and_goes_on_counting(morse_config):
    # a loss of training never rises by so much: each validation counts as bad
    plateau = mt.ReduceOnPlateauConfig(patience=100, threshold=1e9, factor=0.1)
    config = morse_config(max_epochs=3, model={"lr_scheduler": plateau})
    mt.MatterTuner(config).tune()
    config.model.lr_scheduler = plateau.model_copy(update={"patience": 2})
    config.trainer.max_epochs = 5
    run = resumed(config)
    # two bad validations before, and one more than the patience lowers the rate
    assert rates(run)[15:] == pytest.approx([1e-2] * 5 + [1e-3] * 5)


def test_settings_of_the_optimizer_take_effect(morse_config):
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    config.model.optimizer.weight_decay = 0.5
    config.model.optimizer.betas = (0.8, 0.9)
    config.trainer.max_epochs = 2
    group = optimizer_of(resumed(config))
    assert (group["weight_decay"], tuple(group["betas"])) == (0.5, (0.8, 0.9))


def test_a_smaller_patience_ends_the_run(morse_config):
    stopping = {"monitor": "val/forces_mae", "mode": "max", "patience": 50, "min_delta": 1e9}
    config = morse_config(max_epochs=2, early_stopping=stopping)
    mt.MatterTuner(config).tune()
    config.trainer.early_stopping.patience, config.trainer.max_epochs = 2, 9
    run = resumed(config)
    assert run.status().epoch < 5


REFUSED = {
    "model.optimizer": lambda c: setattr(c.model, "optimizer", mt.SGDConfig()),
    "model.freeze": lambda c: setattr(c.model, "freeze", ["*width*"]),
    "model.fault": lambda c: setattr(c.model, "fault", "an axis preferred"),
    "model.properties": lambda c: setattr(c.model, "properties", [mt.ForcesPropertyConfig()]),
    "model.normalizers": lambda c: setattr(c.model, "normalizers", {}),
    "model": lambda c: setattr(c, "model", mt.CHGNetBackboneConfig()),
    "data.train_split": lambda c: setattr(c.data, "train_split", 8),
    "data.shuffle_seed": lambda c: setattr(c.data, "shuffle_seed", 3),
    "data.dataset.energy_key": lambda c: setattr(c.data.dataset, "energy_key", "energy"),
    "run.seed": lambda c: setattr(c.run, "seed", 5),
}


@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.parametrize("by_hand", [False, True], ids=["by the tuner", "in the file"])
def test_what_a_run_has_to_keep_is_refused_by_name_before_anything_is_written(
    path, by_hand, morse_config
):
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    REFUSED[path](config)
    config.trainer.max_epochs = 2
    if by_hand:
        config.to_yaml(run.config_file)
        config = run.config()
    files = [file for file in sorted(run.path.rglob("*")) if file.is_file()]
    before = [file.read_bytes() for file in files]
    with pytest.raises(mt.RunError, match=f"has to keep {path}: .* → .*start a new run") as info:
        mt.MatterTuner(config).resume(run)
    assert f"model.checkpoint: {run.path}" in str(info.value)
    assert [file.read_bytes() for file in files] == before
    assert files == [file for file in sorted(run.path.rglob("*")) if file.is_file()]


def error_of_best(run: RunDirectory, metric: str) -> float:
    """Return an error of the kept weights on the validation set, measured anew."""
    model = mt.Run(run.path).model()
    data = run.config().data.create_datasets()["validation"]
    return evaluate(model, data)[metric]


@pytest.mark.parametrize(
    ("monitor", "mode"), [("val/forces_mae", "min"), ("val/energy_mae", "max")]
)
def test_with_another_monitor_the_best_is_the_one_of_the_tables(monitor, mode, morse_config):
    config = morse_config(max_epochs=3, checkpoint={"monitor": "val/forces_mae", "mode": "max"})
    mt.MatterTuner(config).tune()
    first = RunDirectory(config.run.root / "run").best_metrics()[monitor]
    config.trainer.checkpoint.monitor, config.trainer.checkpoint.mode = monitor, mode
    config.trainer.max_epochs = 4
    run = resumed(config)
    # those of the best by the old monitor, of the last checkpoint, and of the epoch that came after
    values = [r[monitor] for r in run.metrics() if monitor in r]
    there = [first, *values[2:]]
    best = run.best_metrics()[monitor]
    assert best == (min if mode == "min" else max)(there)
    assert error_of_best(run, monitor.removeprefix("val/")) == pytest.approx(best, rel=1e-5)


def test_losses_that_are_counted_otherwise_begin_a_new_best(morse_config):
    config = morse_config(max_epochs=2)
    mt.MatterTuner(config).tune()
    config.model.properties[0].loss_coefficient = 50.0  # no total loss is ever as low again
    config.trainer.max_epochs = 3
    run = resumed(config)
    assert run.best_metrics()["epoch"] == 2
    assert torch.load(run.best, weights_only=True)["epoch"] == 2
    assert changed(run)["best_step"] is None


def test_an_average_that_is_given_up_leaves_the_model_in_training(morse_config):
    config = morse_config(max_epochs=1, ema=mt.EMAConfig(decay=0.999))
    mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    own = torch.load(run.last, weights_only=True)["current_model_state"]["backbone.r0"]
    config.trainer.ema, config.trainer.max_epochs = None, 2
    config.model.optimizer.lr = 1e-12
    resumed(config)
    now = torch.load(run.last, weights_only=True)["state_dict"]["backbone.r0"]
    assert float(now) == pytest.approx(float(own), abs=1e-6)


def test_a_file_may_move_and_its_content_may_not(morse_config, copper_xyz, tmp_path):
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    config.data.dataset.src = shutil.move(copper_xyz, tmp_path / "moved.xyz")
    config.trainer.max_epochs = 2
    assert resumed(config).status().state == "finished"

    frames = ase.io.read(tmp_path / "moved.xyz", ":")
    for atoms in frames:
        atoms.calc.results["energy"] += 1.0
    ase.io.write(tmp_path / "moved.xyz", frames)
    config.trainer.max_epochs = 3
    with pytest.raises(mt.RunError, match=r"9 of 9 frames for train, e\.g\. .*moved\.xyz, frame"):
        resumed(config)


def test_what_a_checkpoint_of_an_older_version_does_not_hold_is_no_change(morse_config):
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    for path in (run.last, run.best):
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint["settings"], checkpoint["hyper_parameters"]["final_stage"]
        torch.save(checkpoint, path)
    run.splits_file.write_text(json.dumps(run.splits()))
    config.trainer.max_epochs = 2
    assert resumed(config).status().state == "finished"
    assert changed(run)["settings"] == {"trainer.max_epochs": [1, 2]}


def test_each_setting_says_whether_a_run_has_to_keep_it():
    kept = {
        f"{cls.__name__}.{name}"
        for cls in (
            MorseBackboneConfig,
            mt.AdamWConfig,
            mt.StepLRConfig,
            mt.TrainerConfig,
            mt.RunConfig,
            mt.AutoSplitDataModuleConfig,
            mt.XYZDatasetConfig,
            mt.EnergyPropertyConfig,
        )
        for name in cls.model_fields
        if issubclass(cls, StrictConfig) and cls.is_fixed(name)
    }
    assert kept == {
        *(f"MorseBackboneConfig.{n}" for n in ("name", "checkpoint", "fault", "properties")),
        *(f"MorseBackboneConfig.{n}" for n in ("optimizer", "normalizers", "freeze")),
        *(
            f"MorseBackboneConfig.{n}"
            for n in ("frozen_blocks", "last_block_copies", "lora", "lr_decay")
        ),
        "AdamWConfig.amsgrad",
        "AdamWConfig.lr_factors",
        "RunConfig.seed",
        *(f"AutoSplitDataModuleConfig.{n}" for n in ("dataset", "train_split", "test_split")),
        "AutoSplitDataModuleConfig.train_share",
        *(
            f"AutoSplitDataModuleConfig.{n}"
            for n in ("validation_split", "split", "group_key", "block_length", "shuffle_seed")
        ),
        *(f"XYZDatasetConfig.{n}" for n in ("index", "energy_key", "forces_key", "stress_key")),
        "XYZDatasetConfig.info",
        "EnergyPropertyConfig.per_atom",
    }
