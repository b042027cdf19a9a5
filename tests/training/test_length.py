"""How long a run is, counted beside Lightning's own Trainer."""

from __future__ import annotations

import math

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset

import mattertune_nb as mt
from mattertune_nb.training.length import last_step, length_of_run

CASES = {
    "epochs": {"max_epochs": 3},
    "steps, in the middle of an epoch": {"max_epochs": -1, "max_steps": 17},
    "steps before epochs": {"max_epochs": 9, "max_steps": 14},
    "epochs before steps": {"max_epochs": 2, "max_steps": 99},
    "steps alone": {"max_epochs": None, "max_steps": 8},
    "a validation every second epoch": {"max_epochs": 5, "check_val_every_n_epoch": 2},
    "a validation after a part of an epoch": {"max_epochs": 2, "val_check_interval": 0.3},
    "a validation every four batches": {"max_epochs": 3, "val_check_interval": 4},
    "accumulation": {"max_epochs": 2, "accumulate_grad_batches": 3},
    "accumulation and steps": {
        "max_epochs": -1,
        "max_steps": 6,
        "accumulate_grad_batches": 3,
        "val_check_interval": 2,
    },
    "steps and validations of every second epoch": {
        "max_epochs": -1,
        "max_steps": 16,
        "check_val_every_n_epoch": 2,
        "val_check_interval": 2,
    },
    "a validation every five steps, over epochs": {"max_epochs": 3, "check_val_every_n_steps": 5},
    "a validation every second step of accumulated batches": {
        "max_epochs": -1,
        "max_steps": 8,
        "accumulate_grad_batches": 3,
        "check_val_every_n_steps": 2,
    },
    "a part of the data": {
        "max_epochs": 2,
        "additional_trainer_kwargs": {"limit_train_batches": 0.5, "limit_val_batches": 2},
    },
    "no validation": {"max_epochs": 2, "additional_trainer_kwargs": {"limit_val_batches": 0}},
    "a few batches over and over": {
        "max_epochs": 3,
        "additional_trainer_kwargs": {"overfit_batches": 2},
    },
    "a run to see whether it runs": {"additional_trainer_kwargs": {"fast_dev_run": 2}},
    "a look at the validation": {"max_epochs": 1, "num_sanity_val_steps": 2},
    "a look at all of the validation": {"max_epochs": 1, "num_sanity_val_steps": -1},
}


class Counter(Callback):
    """Counts what Lightning does."""

    def __init__(self) -> None:
        self.batches = self.val_batches = self.validations = self.sanity_batches = 0

    def on_train_batch_end(self, *_: object) -> None:
        self.batches += 1

    def on_validation_batch_end(self, trainer: Trainer, *_: object) -> None:
        self.sanity_batches += trainer.sanity_checking
        self.val_batches += not trainer.sanity_checking

    def on_validation_end(self, trainer: Trainer, *_: object) -> None:
        self.validations += not trainer.sanity_checking


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_a_run_is_as_long_as_lightning_makes_it(case, tmp_path):
    config = mt.TrainerConfig(accelerator="cpu", **CASES[case])
    counter = Counter()
    kwargs = config.trainer_kwargs() | {"max_time": None, "default_root_dir": tmp_path}
    trainer = Trainer(
        **kwargs,
        callbacks=[counter],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loaders = (torch.utils.data.DataLoader(RandomDataset(32, n)) for n in (7, 3))
    trainer.fit(BoringModel(), *loaders)

    length = length_of_run(config, 7, 3)
    assert length.steps == trainer.global_step
    assert round(length.epochs * length.train_batches) == counter.batches
    assert length.validations == counter.validations
    assert length.validations * length.val_batches == counter.val_batches
    assert length.sanity_batches == counter.sanity_batches
    steps_per_epoch = math.ceil(length.train_batches / config.accumulate_grad_batches)
    assert last_step(config, steps_per_epoch) == trainer.global_step


def test_a_run_without_an_end_has_the_steps_of_an_epoch():
    length = length_of_run(mt.TrainerConfig(max_epochs=-1, check_val_every_n_epoch=4), 7, 3)
    assert (length.epochs, length.steps, length.validations_per_epoch) == (None, 7, 0.25)


def test_while_the_length_of_an_epoch_is_unknown_only_steps_say_when_a_run_ends():
    assert last_step(mt.TrainerConfig(max_epochs=3), 0) is None
    assert last_step(mt.TrainerConfig(max_epochs=3, max_steps=14), 0) == 14
    assert last_step(mt.TrainerConfig(max_epochs=-1), 5) is None


def test_time_alone_is_no_number_of_epochs():
    assert (
        length_of_run(mt.TrainerConfig(max_epochs=None, max_time="00:01:00:00"), 7, 3).epochs
        is None
    )


def test_where_nothing_is_said_lightnings_own_number_counts():
    assert length_of_run(mt.TrainerConfig(max_epochs=None), 7, 3).epochs == 1000
