"""A run that its time or a stop ends: its schedule ends with it, and its last weights are measured."""

from __future__ import annotations

import itertools

import pytest
import torch
from lightning.pytorch import Callback
from stopping import StopAfter, weights

import mattertune_nb as mt
from mattertune_nb.training import pace
from mattertune_nb.training.run_dir import RunDirectory


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Let a validation take any share of the run's time: these runs take less than a second."""
    monkeypatch.setattr(pace, "SHARE", 1e6)


def validated_steps(run: RunDirectory) -> list[int]:
    return [r["step"] for r in run.metrics() if "val/total_loss" in r]


def test_weights_of_a_stop_in_mid_epoch_are_measured_and_may_be_the_best(morse_config):
    config = morse_config("stopped", checkpoint={"monitor": "val/total_loss"})
    run = RunDirectory(config.run.root / "stopped")
    result = mt.MatterTuner(config).tune([StopAfter(run, "on_train_batch_end", 7)])
    stopped_at = result.trainer.global_step
    assert validated_steps(run)[-1] == stopped_at - 1
    losses = [r["val/total_loss"] for r in run.metrics() if "val/total_loss" in r]
    best = torch.load(run.best, weights_only=True)
    assert (best["global_step"] == stopped_at) == (losses[-1] == min(losses))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_follows_a_measured_stop_is_what_would_have_been(mode, morse_config):
    settings = {"checkpoint": {"monitor": "val/total_loss", "mode": mode}}
    never = morse_config("never", **settings)
    mt.MatterTuner(never).tune()
    config = morse_config("stopped", **settings)
    run = RunDirectory(config.run.root / "stopped")
    mt.MatterTuner(config).tune([StopAfter(run, "on_train_batch_end", 3)])
    mt.MatterTuner(config).resume(run)
    last = RunDirectory(never.run.root / "never").last
    torch.testing.assert_close(weights(run.last), weights(last), atol=1e-6, rtol=0)
    # the best of all that were measured, the stop's among them
    losses = {r["step"]: r["val/total_loss"] for r in run.metrics() if "val/total_loss" in r}
    best = (min if mode == "min" else max)(losses, key=losses.__getitem__)
    assert torch.load(run.best, weights_only=True)["global_step"] - 1 == best


@pytest.mark.parametrize("settings", [{"max_steps": 7}, {"check_val_every_n_epoch": 2}])
def test_the_last_weights_of_a_run_that_ends_between_validations_are_measured(
    settings, morse_config
):
    config = morse_config("run", **settings)
    result = mt.MatterTuner(config).tune()
    run = RunDirectory(config.run.root / "run")
    assert validated_steps(run)[-1] == result.trainer.global_step - 1


def test_a_validation_that_costs_too_much_of_the_time_is_left_out(morse_config, monkeypatch):
    monkeypatch.setattr(pace, "SHARE", 0.0)
    config = morse_config("run", max_steps=7)
    mt.MatterTuner(config).tune()
    assert 6 not in validated_steps(RunDirectory(config.run.root / "run"))


class Clock(Callback):
    """Lets each step take a second of a clock of its own."""

    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        self.rates: list[float] = []
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, *args):
        self.now += 1.0


@pytest.mark.parametrize("max_epochs", [1000, None])
@pytest.mark.parametrize("warmup", [0.0, 2])
def test_a_cosine_ends_when_the_time_does(max_epochs, warmup, morse_config, monkeypatch):
    clock = Clock(monkeypatch)
    config = morse_config("run", max_epochs=max_epochs, max_time="00:00:00:20")
    config.model.optimizer = mt.SGDConfig(lr=1e-6)
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig(warmup=warmup)
    mt.MatterTuner(config).tune([clock])
    rates = [rate / 1e-6 for rate in clock.rates]
    assert 20 <= len(rates) <= 22
    assert max(rates) == pytest.approx(1.0)
    # how fast a run goes is known after its first step
    falling = rates[int(warmup) + 1 :]
    assert all(a > b for a, b in itertools.pairwise(falling))
    assert rates[-1] < 0.03
    # half of the way down in the middle of the time
    assert rates[len(rates) // 2] == pytest.approx(0.5, abs=0.12)
    # the records say what was used
    records = RunDirectory(config.run.root / "run").metrics()
    told = {r["step"]: r["lr-SGD"] for r in records if "lr-SGD" in r}
    assert told == {k: pytest.approx(rate * 1e-6) for k, rate in enumerate(rates)}


def test_a_warm_up_that_is_a_part_of_an_unknown_length_is_refused_before_anything_is_written(
    morse_config,
):
    config = morse_config("run", max_epochs=None, max_time="00:00:00:20")
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig(warmup=0.1)
    with pytest.raises(mt.ConfigError, match=r"warmup: only time ends the run.*e\.g\. 20"):
        mt.MatterTuner(config).tune()
    assert not (config.run.root / "run").exists()


@pytest.mark.parametrize("max_epochs", [1000, None])
def test_one_cycle_ends_when_the_time_does(max_epochs, morse_config, monkeypatch):
    clock = Clock(monkeypatch)
    config = morse_config("run", max_epochs=max_epochs, max_time="00:00:00:20")
    config.model.optimizer = mt.SGDConfig(lr=1e-6)
    config.model.lr_scheduler = mt.OneCycleLRConfig(pct_start=0.5)
    mt.MatterTuner(config).tune([clock])
    rates = [rate / 1e-6 for rate in clock.rates]
    assert 20 <= len(rates) <= 22
    assert rates[0] == pytest.approx(1 / 25)
    top = rates.index(max(rates))
    assert 8 <= top <= 12
    assert rates[top] > 0.95
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.03


def test_a_schedule_with_a_length_of_its_own_does_not_follow_the_clock(morse_config, monkeypatch):
    clock = Clock(monkeypatch)
    config = morse_config("run", max_epochs=1000, max_time="00:00:00:10")
    config.model.optimizer = mt.SGDConfig(lr=1e-6)
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig(T_max=1000)
    mt.MatterTuner(config).tune([clock])
    assert clock.rates[-1] / 1e-6 > 0.99


def test_a_run_that_its_time_ended_goes_on_at_a_rate_of_its_new_time(morse_config, monkeypatch):
    clock = Clock(monkeypatch)
    config = morse_config("run", max_epochs=1000, max_time="00:00:00:20")
    config.model.optimizer = mt.SGDConfig(lr=1e-6)
    config.model.lr_scheduler = mt.CosineAnnealingLRConfig()
    mt.MatterTuner(config).tune([clock])
    again = Clock(monkeypatch)
    run = RunDirectory(config.run.root / "run")
    mt.MatterTuner(config).resume(run, [again])
    rates = [rate / 1e-6 for rate in again.rates]
    # half of twice the time is over
    assert rates[2] == pytest.approx(0.5, abs=0.1)
    assert rates[-1] < 0.03
