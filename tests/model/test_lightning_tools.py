"""Lightning's own callbacks and finders work on our module, or say why not."""

from __future__ import annotations

import warnings

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EMAWeightAveraging,
    LearningRateFinder,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.tuner import Tuner
from toy_backbone import HeadedMorseBackboneConfig, MorseBackboneConfig

import mattertune_nb as mt


@pytest.fixture
def data(copper_xyz):
    """Return a data module of nine frames to train on and five to validate on, in batches of four."""
    return mt.MatterTuneDataModule(
        mt.AutoSplitDataModuleConfig(
            dataset=mt.XYZDatasetConfig(src=copper_xyz), train_split=9, batch_size=4
        )
    )


def morse(**fields) -> mt.FinetuneModuleBase:
    return mt.FinetuneModuleBase(
        MorseBackboneConfig(**{"optimizer": mt.AdamWConfig(lr=1e-2)} | fields)
    )


class Watch(Callback):
    """Keeps what a function finds at the start of each training batch."""

    def __init__(self, look) -> None:
        self.look = look
        self.seen: list = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(self.look(trainer, pl_module, batch))


def test_validation_loaders_with_names_count_as_a_list_of_them_does(copper, plain_trainer):
    found = []
    for named in (True, False):
        module = morse()
        train = module.create_dataloader(copper[:4], True)
        parts = [module.create_dataloader(part, True) for part in (copper[4:6], copper[6:7])]
        trainer = plain_trainer()
        trainer.fit(module, train, dict(zip("ab", parts, strict=True)) if named else parts)
        # beside these, sets with names have errors of their own
        pooled = {k: v for k, v in module.baseline.items() if k.count("/") == 1}
        found.append((pooled, float(trainer.callback_metrics["val/total_loss"])))
    assert found[0] == found[1]


@pytest.mark.parametrize("settings", [{"batch_size": 4}, {"max_atoms": 16}])
def test_overfit_batches_are_the_first_whole_batches_in_every_epoch(
    copper, plain_trainer, settings
):
    module, watch = morse(), Watch(lambda trainer, module, batch: batch.index.tolist())
    loader = module.create_dataloader(copper, True, shuffle=True, **settings)
    expected = [
        batch.index.tolist() for batch in module.create_dataloader(copper, True, **settings)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning says that it takes out the shuffling
        plain_trainer(overfit_batches=2, max_epochs=3, callbacks=[watch]).fit(module, loader)
    assert watch.seen == expected[:2] * 3
    assert len(expected[0]) > 1


def test_a_learning_rate_is_found_with_the_references_of_a_run_and_trained_with(
    data, plain_trainer
):
    module, config = morse(), MorseBackboneConfig(optimizer=mt.AdamWConfig(lr=1e-2))
    module = mt.FinetuneModuleBase(config)
    trainer = plain_trainer(max_epochs=40)
    found = Tuner(trainer).lr_find(module, datamodule=data, num_training=60)
    # without references the loss is several eV
    assert found.results["loss"][0] < 1
    assert found.suggestion() == module.lr == module.hparams.optimizer.lr != 1e-2
    assert config.optimizer.lr == 1e-2
    assert not module.baseline
    trainer.fit_loop.max_epochs = 1
    trainer.fit(module, datamodule=data)
    assert trainer.lr_scheduler_configs[0].scheduler.base_lrs == [module.lr]
    assert module.baseline["baseline/forces_mae"] > 0


def test_a_batch_size_is_found_and_trained_with(data, plain_trainer):
    module, trainer = morse(), plain_trainer()
    assert Tuner(trainer).scale_batch_size(module, datamodule=data, init_val=1, max_trials=2) == 2
    assert data.batch_size == 2
    watch = Watch(lambda trainer, module, batch: len(batch))
    plain_trainer(callbacks=[watch]).fit(module, datamodule=data)
    assert sorted(watch.seen) == [1, 2, 2, 2, 2]


def test_the_schedule_fits_the_batch_size_that_was_found_in_a_fit(data, plain_trainer):
    rates = Watch(lambda trainer, module, batch: trainer.optimizers[0].param_groups[0]["lr"])
    finder = BatchSizeFinder(init_val=1, max_trials=1)
    plain_trainer(callbacks=[finder, rates]).fit(morse(), datamodule=data)
    assert len(rates.seen) == 9
    assert rates.seen[-1] == pytest.approx(
        1e-2 * (1 + torch.cos(torch.tensor(8 / 9 * torch.pi))) / 2
    )


def test_a_batch_size_is_not_looked_for_where_atoms_are_counted(copper_xyz, plain_trainer):
    config = mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=copper_xyz), max_atoms=30)
    with pytest.raises(mt.ConfigError, match="max_atoms sets the size of batches"):
        Tuner(plain_trainer()).scale_batch_size(morse(), datamodule=mt.MatterTuneDataModule(config))


def test_a_backbone_is_set_free_late_but_for_what_the_config_holds(data, plain_trainer):
    gap = mt.GraphPropertyConfig(name="gap", key="energy")
    config = HeadedMorseBackboneConfig(freeze=["r0"], properties=[mt.EnergyPropertyConfig(), gap])
    module = mt.FinetuneModuleBase(config)
    trained = Watch(
        lambda trainer, module, batch: {
            n for n, p in module.backbone.named_parameters() if p.requires_grad
        }
    )
    before = {name: p.clone() for name, p in module.backbone.named_parameters()}
    callbacks = [BackboneFinetuning(unfreeze_backbone_at_epoch=1), trained]
    trainer = plain_trainer(max_epochs=3, callbacks=callbacks)
    trainer.fit(module, datamodule=data)
    assert trained.seen == [set()] * 3 + [{"depth", "width"}] * 6
    for name, parameter in module.backbone.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in ("depth", "width"))


def test_a_backbone_alone_cannot_be_held_as_a_whole(data, plain_trainer):
    trainer = plain_trainer(callbacks=[BackboneFinetuning(unfreeze_backbone_at_epoch=1)])
    with pytest.raises(mt.ConfigError, match=r"nothing to train.*model\.freeze"):
        trainer.fit(morse(), datamodule=data)


class WithATable(mt.FinetuneModuleBase):
    """A model with integers among its buffers, as vendors' tables of elements are."""

    def __init__(self, config) -> None:
        super().__init__(config)
        self.register_buffer("table", torch.arange(90))


@pytest.mark.parametrize("kind", [WeightAveraging, EMAWeightAveraging])
def test_averages_of_weights_leave_flags_integers_and_references(kind, data, plain_trainer):
    module = WithATable(MorseBackboneConfig(optimizer=mt.SGDConfig(lr=1e-3)))
    weights: list[float] = []

    class After(Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            weights.append(float(pl_module.backbone.depth.detach()))

    trainer = plain_trainer(max_epochs=2, callbacks=[kind(), After()])
    trainer.fit(module, datamodule=data)
    expected = weights[0]
    for n, weight in enumerate(weights[1:], 2):
        share = 1 / n if kind is WeightAveraging else 1e-3
        expected += share * (weight - expected)
    assert float(module.backbone.depth) == pytest.approx(expected, rel=1e-6)
    assert torch.equal(module.table, torch.arange(90))
    assert bool(module.normalization.fitted)
    # what was kept is what was measured
    measured = float(trainer.callback_metrics["val/energy_mae"])
    (again,) = plain_trainer().validate(module, datamodule=data, verbose=False)
    assert again["val/energy_mae"] == pytest.approx(measured, rel=1e-5)


def test_an_average_that_begins_late_is_measured_with_the_references(data, plain_trainer):
    module = morse()
    average = EMAWeightAveraging(update_starting_at_step=100)
    trainer = plain_trainer(callbacks=[average])
    trainer.fit(module, datamodule=data)
    # nothing is averaged yet: the untuned model's error with references, and not without
    energy = float(trainer.callback_metrics["val/energy_per_atom_mae"])
    assert energy <= module.baseline["baseline/referenced_energy_per_atom_mae"] + 1e-6


@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_average_of_the_last_epochs_is_a_candidate_for_the_best_weights(
    mode, morse_config, plain_trainer
):
    config = morse_config(
        max_epochs=4,
        model={"lr_scheduler": None},
        checkpoint={"monitor": "val/forces_mae", "mode": mode},
    )
    swa = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=2)
    result = mt.MatterTuner(config).tune([swa])
    records = [r for r in result.run.metrics() if "val/forces_mae" in r]
    assert [r["epoch"] for r in records] == [0, 1, 2, 3, 3]
    errors = [r["val/forces_mae"] for r in records]
    assert errors[-1] not in errors[:-1]
    assert records[-1]["step"] == records[-2]["step"]
    data = mt.MatterTuneDataModule(config.data)
    (kept,) = plain_trainer().validate(result.model, datamodule=data, verbose=False)
    best = (min if mode == "min" else max)(errors)
    assert kept["val/forces_mae"] == pytest.approx(best, rel=1e-5)


class KeepsAFunction(Callback):
    """A callback whose state holds a function, as that of weight averaging does with torch before 2.7."""

    def state_dict(self):
        return {"schedule": {"anneal": max, "steps": [3, min]}}

    def load_state_dict(self, state_dict):
        self.loaded = state_dict


def test_a_function_in_a_state_does_not_make_a_checkpoint_unreadable(morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune([KeepsAFunction()]).run
    config = run.config()
    config.trainer.max_epochs = 2
    again = KeepsAFunction()
    assert mt.MatterTuner(config).resume(run.path, [again]).run.status().state == "finished"
    assert again.loaded == {"schedule": {"steps": [3]}}


@pytest.mark.parametrize(
    ("finder", "field"),
    [(LearningRateFinder(), "model.optimizer.lr"), (BatchSizeFinder(), "data.batch_size")],
)
def test_a_run_is_trained_with_what_its_config_says(finder, field, morse_config):
    config = morse_config()
    with pytest.raises(mt.ConfigError, match=f"another {field} than the run's config says.*Tuner"):
        mt.MatterTuner(config).tune([finder])
    assert not config.run.root.exists()
