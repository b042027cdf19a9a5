"""What ends a run before its last batch, and what a resume, or another fit, makes of it."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from stopping import NoisyModule

import mattertune_nb as mt

pytestmark = pytest.mark.usefixtures("unmeasured")


class Ends(Callback):
    """Ends the run in a hook of Lightning's, once it has been called a number of times."""

    def __init__(self, hook: str, calls: int) -> None:
        self.left = calls
        setattr(self, hook, self._count)

    def _count(self, trainer, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            trainer.should_stop = True


@pytest.mark.parametrize(
    ("hook", "calls", "settings"),
    [
        ("on_train_batch_end", 2, {}),
        ("on_train_batch_end", 8, {}),
        ("on_train_batch_start", 3, {}),
        ("on_train_batch_end", 3, {"accumulate_grad_batches": 2}),
        ("on_validation_end", 2, {"val_check_interval": 2}),
        ("on_train_batch_end", 7, {"val_check_interval": 2}),
        ("on_train_epoch_end", 1, {}),
    ],
)
def test_a_callback_that_ends_a_run_in_mid_epoch_loses_none_of_it(
    hook, calls, settings, morse_config
):
    never = mt.MatterTuner(morse_config("never", **settings), module_class=NoisyModule).tune().run
    config = morse_config("ended", **settings)
    ended = mt.MatterTuner(config, module_class=NoisyModule).tune([Ends(hook, calls)]).run
    status = ended.status()
    at_end_of_epoch = hook == "on_train_epoch_end"
    assert status.state == ("finished" if at_end_of_epoch else "stopped")
    assert 0 < status.step < 15
    mt.MatterTuner(config, module_class=NoisyModule).resume(ended.path)
    ours, theirs = ended.directory, never.directory
    # where a run ends, Lightning measures it once more: records of validations differ
    losses = [
        [
            (r["step"], round(r["train/total_loss"], 6))
            for r in run.metrics()
            if "train/total_loss" in r
        ]
        for run in (ours, theirs)
    ]
    assert losses[0] == losses[1]
    last = [torch.load(run.last, weights_only=True)["state_dict"] for run in (ours, theirs)]
    for name, value in last[0].items():
        if name.startswith("backbone"):
            torch.testing.assert_close(value, last[1][name], atol=1e-6, rtol=0, msg=name)


STOPPING = {"monitor": "val/forces_mae", "mode": "max", "patience": 1, "min_delta": 1e9}


@pytest.mark.parametrize("interval", [None, 2])
def test_a_run_that_early_stopping_has_ended_stays_ended(interval, morse_config):
    config = morse_config(max_epochs=9, early_stopping=STOPPING, val_check_interval=interval)
    run = mt.MatterTuner(config).tune().run.directory
    before, step = run.metrics(), run.status().step
    assert run.status().state == "finished"
    with pytest.warns(
        UserWarning, match=r"Early stopping on val/forces_mae has already ended this run"
    ):
        result = mt.MatterTuner(config).resume(run)
    assert result.trainer.global_step == step
    assert run.metrics() == before
    assert run.status().state == "finished"
    assert "raise its patience or turn it off" in run.status().note


@pytest.mark.parametrize("edit", [None, STOPPING | {"patience": 4}])
def test_it_goes_on_without_early_stopping_or_with_more_patience(edit, morse_config):
    config = morse_config(max_epochs=9, early_stopping=STOPPING)
    run = mt.MatterTuner(config).tune().run.directory
    step = run.status().step
    config.trainer.early_stopping = edit and mt.EarlyStoppingConfig(**edit)
    mt.MatterTuner(config).resume(run)
    assert run.status().step == (45 if edit is None else step + 15)


def test_a_second_fit_of_a_trainer_is_refused_and_leaves_the_metrics(morse_config):
    model, trainer = mt.MatterTuner(morse_config(max_epochs=1)).tune()
    assert "val/forces_mae" in trainer.callback_metrics
    with pytest.raises(mt.TrainingError, match=r"1 epochs, 5 steps.*Make a new Trainer"):
        trainer.fit(model, trainer.train_dataloader, trainer.val_dataloaders)
    assert "val/forces_mae" in trainer.callback_metrics


def test_a_second_fit_of_a_model_says_what_it_is_compared_with(morse_config):
    config = morse_config(max_epochs=1)
    model = mt.FinetuneModuleBase(config.model)

    def fit():
        data = mt.MatterTuneDataModule(config.data)
        trainer = mt.TrainerConfig(accelerator="cpu", max_epochs=1)
        Trainer(**trainer.trainer_kwargs(), logger=False, enable_checkpointing=False).fit(
            model, data
        )

    fit()
    with pytest.warns(UserWarning, match="errors before this fit, and not those of the untuned"):
        fit()


class NoLoss(mt.FinetuneModuleBase):
    """Its validation computes no loss."""

    def validation_step(self, batch, batch_idx=0, dataloader_idx=0):
        self(batch)


@pytest.mark.parametrize("early", [None, mt.EarlyStoppingConfig()])
def test_a_validation_without_the_watched_metric_is_told_in_a_sentence(early, morse_config):
    config = morse_config(max_epochs=1, early_stopping=early)
    with pytest.raises(mt.TrainingError, match=r"'val/total_loss' was not logged.*_compute_loss"):
        mt.MatterTuner(config, module_class=NoLoss).tune()
