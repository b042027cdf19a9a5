"""LiveCurves under any Trainer and for any LightningModule."""

from __future__ import annotations

import os
import signal

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel

import mattertune_nb as mt


class Toy(BoringModel):
    """A module that is not ours, with metrics of its own."""

    def training_step(self, batch, batch_idx):
        out = super().training_step(batch, batch_idx)
        self.log("toy_loss", out["loss"])
        self.log("toy_accuracy", 0.5)
        return out


def toy_trainer(tmp_path, *callbacks, **kwargs) -> Trainer:
    defaults = {
        "max_epochs": 2,
        "limit_train_batches": 20,
        "limit_val_batches": 2,
        "log_every_n_steps": 1,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        "logger": False,
    }
    return Trainer(**defaults | kwargs, callbacks=list(callbacks))


def test_a_module_that_is_not_ours_gets_panels_of_its_own(tmp_path):
    curves = mt.LiveCurves()
    toy_trainer(tmp_path, curves).fit(Toy())
    panels = curves.view.data.panels
    assert len(panels["loss"].series["toy_loss"]) == 40
    assert panels["toy_accuracy"].unit == ""
    assert "finished" in curves.view._header.value
    assert curves.view.picture().startswith(b"\x89PNG")


def test_validation_without_a_fit_shows_nothing_and_breaks_nothing(tmp_path):
    curves = mt.LiveCurves()
    toy_trainer(tmp_path, curves).validate(Toy(), verbose=False)
    assert curves.view is None


class Interrupt(Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 7:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_ends_the_fit_without_systemexit_and_keeps_the_curves(tmp_path):
    curves = mt.LiveCurves()
    before = signal.getsignal(signal.SIGINT)
    trainer = toy_trainer(tmp_path, curves, Interrupt(), max_epochs=50)
    trainer.fit(Toy())
    assert trainer.global_step == 8
    assert list(tmp_path.rglob("*.ckpt"))
    assert len(curves.view.data.panels["loss"].series["toy_loss"]) == 8
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_tune_returns_with_its_curves(tmp_path):
    curves = mt.LiveCurves()
    config = mt.demo_config(tmp_path, "run")
    config.data.train.index = config.data.validation.index = ":8"
    config.data.batch_size = 2
    config.trainer.log_every_n_steps = 1
    model, trainer = mt.MatterTuner(config).tune(callbacks=[curves, Interrupt()])
    assert mt.Run.attach(tmp_path / "run").status().state == "stopped"
    assert trainer.global_step == 8 or trainer.global_step == 9
    assert "val/forces_mae" in curves.view.data.panels
    assert "stopped" in curves.view._header.value
    assert model.property_predictor() is not None


@pytest.mark.parametrize("loaders", [0, 2])
def test_any_number_of_validation_sets(tmp_path, loaders):
    model = Toy()
    if loaders == 0:
        model.val_dataloader = None
    else:
        one = model.val_dataloader
        model.val_dataloader = lambda: [one(), one()]
        model.validation_step = lambda batch, batch_idx, dataloader_idx=0: model.log("x", 1.0)
    toy_trainer(tmp_path, mt.LiveCurves()).fit(model)
