"""Optimizers and schedules: each field acts, and lengths come from the run."""

from __future__ import annotations

import itertools

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.model.schedules import create_lr_schedulers


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


def test_some_parameters_have_a_rate_of_their_own_under_any_schedule(copper, fit):
    seen = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            names = {id(p): name for name, p in pl_module.backbone.named_parameters()}
            seen.append(
                {
                    (group["name"], *(names[id(p)] for p in group["params"])): group["lr"]
                    for group in optimizer.param_groups
                }
            )

    config = MorseBackboneConfig(
        optimizer=mt.AdamWConfig(lr=1e-3, lr_factors={"r*": 0.1, "[rw]*": 2.0}),
        lr_scheduler=mt.LinearLRConfig(start_factor=0.5, total_iters=1),
    )
    fit(mt.FinetuneModuleBase(config), copper[:2], max_epochs=2, callbacks=[Watch()])
    groups = {("others", "depth"): 1.0, ("r*", "r0"): 0.1, ("[rw]*", "width"): 2.0}
    for rates, share in zip(seen, (0.5e-3, 1e-3), strict=True):
        assert rates == pytest.approx({key: factor * share for key, factor in groups.items()})


def test_a_pattern_of_a_rate_that_fits_nothing_is_refused(copper, fit):
    config = MorseBackboneConfig(optimizer=mt.AdamWConfig(lr_factors={"*": 0.1, "embedding*": 2.0}))
    with pytest.raises(
        mt.ConfigError, match=r"'?\"embedding\*\" matches no trained parameter.*e\.g\. 'depth'"
    ):
        fit(mt.FinetuneModuleBase(config), copper[:2])
    with pytest.raises(mt.ConfigError, match=r"give module\.named_parameters\(\)"):
        mt.create_optimizer(config.optimizer, [torch.nn.Parameter(torch.ones(1))])
    with pytest.raises(mt.ConfigError, match="Factors for some parameters"):
        mt.AdamWConfig(lr_factors={"*": 0.0})


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
        (mt.CosineAnnealingWarmRestartsConfig(T_0=1, T_mult=2),
         [1, 1, 1, 1, 0.5, 0.5, 1, 1]),
        (mt.CosineAnnealingWarmRestartsConfig(T_0=4, interval="step", eta_min=5e-7),
         [1, 0.9267767, 0.75, 0.5732233, 1, 0.9267767, 0.75, 0.5732233]),
        (mt.OneCycleLRConfig(T_max=4, pct_start=0.5, div_factor=10, final_div_factor=10, interval="step"),
         [0.1, 0.55, 1, 0.505, 0.01, 0.01, 0.01, 0.01]),
        # one after the other
        ([mt.ConstantLRConfig(factor=0.5, total_iters=2), mt.ExponentialConfig(gamma=0.1)],
         [0.5, 0.5, 0.5, 0.5, 1, 1, 0.1, 0.1]),
        ([mt.ConstantLRConfig(factor=0.5, total_iters=2, interval="step"),
          mt.CosineAnnealingLRConfig(warmup=2)],
         [0.5, 0.5, 0.01, 0.505, 1, 0.8535534, 0.5, 0.1464466]),
        ([mt.CosineAnnealingLRConfig(T_max=4, warmup=2, interval="step"),
          mt.StepLRConfig(step_size=2, gamma=0.1, interval="step")],
         [0.01, 0.505, 1, 0.5, 1, 1, 0.1, 0.1]),
        ([mt.ConstantLRConfig(factor=0.5, total_iters=4, interval="step"),
          mt.OneCycleLRConfig(pct_start=0.5, div_factor=10, final_div_factor=10)],
         [0.5, 0.5, 0.5, 0.5, 0.1, 0.55, 1, 0.505]),
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


def test_one_cycle_over_a_run_is_torchs_own(rates):
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    # torch reaches the last rate at the last step, and here it would be reached at the one after it
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=9, pct_start=(0.25 * 8 + 1) / 9, cycle_momentum=False
    )
    expected = []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates(mt.OneCycleLRConfig(pct_start=0.25)) == pytest.approx(expected)


def test_one_cycle_stretches_with_a_run_that_trains_longer():
    def built(n_steps: int):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        (entry,) = create_lr_schedulers(
            [mt.OneCycleLRConfig()], optimizer, n_steps=n_steps, n_epochs=1
        )
        return optimizer, entry["scheduler"]

    optimizer, short = built(10)
    for _ in range(10):
        optimizer.step()
        short.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1 / 25e4)
    after, longer = built(20)
    after.load_state_dict(optimizer.state_dict())
    longer.load_state_dict(short.state_dict())
    never, whole = built(20)
    for _ in range(10):
        never.step()
        whole.step()
    for _ in range(9):
        assert after.param_groups[0]["lr"] == pytest.approx(never.param_groups[0]["lr"])
        for optimizer, schedule in ((after, longer), (never, whole)):
            optimizer.step()
            schedule.step()


def test_warm_restarts_beside_a_plateau_are_refused():
    schedules = [mt.CosineAnnealingWarmRestartsConfig(), mt.ReduceOnPlateauConfig()]
    with pytest.raises(mt.ConfigError, match="undoing any reduction on a plateau"):
        MorseBackboneConfig(lr_scheduler=schedules)


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
        rates(mt.CosineAnnealingLRConfig(), max_epochs=-1, max_steps=-1, limit_train_batches=1)


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
