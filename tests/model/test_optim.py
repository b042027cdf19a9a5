"""Optimizers and schedules: each field acts, and lengths come from the run."""

from __future__ import annotations

import itertools

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt


def after_steps(config) -> list[float]:
    """Return a parameter after each of six steps down a bumpy hill."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = mt.create_optimizer(config, [parameter])
    path = []
    for scale in (1.0, 30.0, 0.1, 1.0, 0.01, 1.0):
        optimizer.zero_grad()
        (scale * parameter.square().sum() + parameter.sin().sum()).backward()
        optimizer.step()
        path += parameter.detach().tolist()
    return path


@pytest.mark.parametrize(
    ("kind", "base", "change"),
    [
        *((kind, {}, change)
          for kind in (mt.AdamConfig, mt.AdamWConfig)
          for change in ({"lr": 0.02}, {"betas": (0.5, 0.999)}, {"betas": (0.9, 0.9)},
                         {"eps": 0.1}, {"weight_decay": 0.3}, {"amsgrad": True})),
        (mt.SGDConfig, {}, {"lr": 0.02}),
        (mt.SGDConfig, {}, {"momentum": 0.9}),
        (mt.SGDConfig, {}, {"weight_decay": 0.1}),
        (mt.SGDConfig, {"momentum": 0.9}, {"dampening": 0.5}),
        (mt.SGDConfig, {"momentum": 0.9}, {"nesterov": True}),
    ],
)  # fmt: skip
def test_each_field_of_an_optimizer_acts(kind, base, change):
    assert after_steps(kind(**{"lr": 0.01} | base)) != after_steps(
        kind(**{"lr": 0.01} | base | change)
    )


def test_the_optimizer_is_torchs_own_and_leaves_frozen_parameters_out():
    frozen, free = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    frozen.requires_grad_(False)
    optimizer = mt.create_optimizer(mt.AdamWConfig(lr=0.3), [frozen, free])
    assert type(optimizer) is torch.optim.AdamW
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]
    assert optimizer.param_groups[0]["lr"] == 0.3


class Rates(Callback):
    """Keeps the learning rate that each step is made with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.fixture
def rates(copper, fit):
    """Return the rates of a run of 4 epochs of 2 steps that starts at 1e-6."""

    def run(schedule, **kwargs) -> list[float]:
        config = MorseBackboneConfig(optimizer=mt.SGDConfig(lr=1e-6), lr_scheduler=schedule)
        callback = Rates()
        settings = {"max_epochs": 4, "callbacks": [callback]} | kwargs
        fit(mt.FinetuneModuleBase(config), copper[:4], **settings)
        return [rate / 1e-6 for rate in callback.rates]

    return run


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (None, [1] * 8),
        (mt.StepLRConfig(step_size=2, gamma=0.5), [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]),
        (mt.StepLRConfig(step_size=3, gamma=0.5, interval="step"),
         [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        (mt.MultiStepLRConfig(milestones=[1, 3], gamma=0.1), [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        (mt.ExponentialConfig(gamma=0.5), [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        (mt.LinearLRConfig(start_factor=0.5, end_factor=1.0, total_iters=2),
         [0.5, 0.5, 0.75, 0.75, 1, 1, 1, 1]),
        (mt.ConstantLRConfig(factor=0.5, total_iters=1), [0.5, 0.5, 1, 1, 1, 1, 1, 1]),
        (mt.CosineAnnealingLRConfig(T_max=2, interval="epoch", eta_min=2e-7),
         [1, 1, 0.6, 0.6, 0.2, 0.2, 0.6, 0.6]),
        # one after the other
        ([mt.ConstantLRConfig(factor=0.5, total_iters=2), mt.ExponentialConfig(gamma=0.1)],
         [0.5, 0.5, 0.5, 0.5, 1, 1, 0.1, 0.1]),
        ([mt.ConstantLRConfig(factor=0.5, total_iters=2, interval="step"),
          mt.CosineAnnealingLRConfig(warmup=2)],
         [0.5, 0.5, 0.01, 0.505, 1, 0.8535534, 0.5, 0.1464466]),
        ([mt.CosineAnnealingLRConfig(T_max=4, warmup=2, interval="step"),
          mt.StepLRConfig(step_size=2, gamma=0.1, interval="step")],
         [0.01, 0.505, 1, 0.5, 1, 1, 0.1, 0.1]),
    ],
)  # fmt: skip
def test_the_schedules(rates, schedule, expected):
    assert rates(schedule) == pytest.approx(expected)


def test_a_cosine_takes_its_length_from_the_run(rates):
    found = rates(mt.CosineAnnealingLRConfig())
    expected = [(1 + torch.cos(torch.tensor(torch.pi * k / 8)).item()) / 2 for k in range(8)]
    assert found == pytest.approx(expected, abs=1e-6)
    assert rates(mt.CosineAnnealingLRConfig(), max_epochs=-1, max_steps=4) == pytest.approx(
        expected[::2], abs=1e-6
    )


def test_a_cosine_over_accumulated_batches_counts_optimizer_steps(rates):
    found = rates(mt.CosineAnnealingLRConfig(), accumulate_grad_batches=2)
    assert len(found) == 4
    assert found == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-5)


def test_a_warm_up_rises_to_the_full_rate_and_the_cosine_falls_from_there(rates):
    for warmup in (3, 0.375):
        found = rates(mt.CosineAnnealingLRConfig(warmup=warmup))
        assert found[:4] == pytest.approx([0.01, 0.34, 0.67, 1.0])
        assert all(a > b for a, b in itertools.pairwise(found[3:]))


def test_a_cosine_in_a_run_without_an_end_asks_for_its_length(rates):
    with pytest.raises(mt.ConfigError, match="set the schedule's Length"):
        rates(mt.CosineAnnealingLRConfig(), max_epochs=-1, max_time="00:00:00:01")


def test_a_plateau_of_the_metric_reduces_the_rate(rates):
    # at this rate nothing improves by the threshold
    schedule = mt.ReduceOnPlateauConfig(monitor="val/forces_mae", patience=0, factor=0.5)
    assert rates(schedule) == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25])
    kept = mt.ReduceOnPlateauConfig(monitor="val/forces_mae", patience=0, factor=0.5, min_lr=4e-7)
    assert rates(kept)[-1] == pytest.approx(0.4)
    # beside another schedule
    both = [mt.ConstantLRConfig(factor=0.5, total_iters=1), schedule]
    assert rates(both)[:4] == pytest.approx([0.5, 0.5, 1, 1])


def test_a_users_own_plateau_is_left_to_lightning(copper_xyz, tmp_path):
    seen = []

    class Counts(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(float(metrics))
            super().step(metrics, epoch)

    class Own(mt.FinetuneModuleBase):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1e-6)
            schedule = {"scheduler": Counts(optimizer), "monitor": "val/total_loss"}
            return {"optimizer": optimizer, "lr_scheduler": schedule}

    data = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=copper_xyz), train_split=9, batch_size=3
    )
    trainer = Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Own(MorseBackboneConfig()), datamodule=mt.MatterTuneDataModule(data))
    assert len(seen) == 4
