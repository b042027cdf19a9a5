"""What stands in a run's log, which people read."""

from __future__ import annotations

import os
import signal

import pytest
from lightning.pytorch import Callback

import mattertune_nb as mt


def said(run):
    """Return the log's lines without their times."""
    return [line[20:] for line in run.directory.log_file.read_text().splitlines()]


def test_the_log_is_about_the_run_and_not_about_lightning(morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=2)).tune().run
    lines = said(run)
    assert lines[0].startswith("Training on the CPU (")
    assert [line[:7] for line in lines if line.startswith("epoch ")] == ["epoch 1", "epoch 2"]
    assert lines[-1] == "Finished at step 10."
    config = run.config()
    config.trainer.max_epochs = 3
    mt.MatterTuner(config).resume(run.path)
    later = said(run)[len(lines) :]
    assert any(line.endswith("), on from step 10.") for line in later[:2])
    assert later[-1] == "Finished at step 15."
    for word in ("GPU", "TPU", "Trainer", "dataloader", "Tip", "checkpoint path"):
        assert not [line for line in said(run) if word in line], word


def test_a_run_that_ends_before_its_first_validation_names_no_key(
    morse_config, unmeasured, recwarn
):
    mt.MatterTuner(morse_config(max_steps=2)).tune()
    assert not [each for each in recwarn if "ModelCheckpoint" in str(each.message)]


class AtStep(Callback):
    """Does something once a number of steps is done."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == self.step:
            self.action()


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_the_log_says_what_interrupted_a_run(morse_config, number, name):
    interrupt = AtStep(6, lambda: os.kill(os.getpid(), number))
    run = mt.MatterTuner(morse_config()).tune([interrupt]).run
    assert said(run)[-1] == f"Stopped at step 7: interrupted by {name}."


def test_the_log_says_that_a_user_stopped_a_run(morse_config):
    config = morse_config("run")
    stop = AtStep(6, lambda: mt.Run.attach(config.run.root / "run").stop())
    run = mt.MatterTuner(config).tune([stop]).run
    assert said(run)[-1] == "Stopped at step 7: stopped by the user."


@pytest.mark.usefixtures("unmeasured")
def test_a_run_that_its_time_ended_before_a_validation_says_so(morse_config):
    config = morse_config(max_epochs=None, max_time="00:00:00:01", model={"lr_scheduler": None})
    config.trainer.check_val_every_n_epoch = 10**6
    run = mt.MatterTuner(config).tune().run
    not_measured, end = said(run)[-2:]
    assert not_measured.startswith(
        "The last weights were not measured: a validation would take over"
    )
    assert end.endswith(": the time limit (trainer.max_time) is reached.")
    assert "No validation was recorded;" in str(run.verdict())
