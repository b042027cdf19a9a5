"""LiveCurves under any Trainer and for any LightningModule."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise

import pytest
import torch
from jupyter_client.manager import start_new_kernel
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel

import mattertune_nb as mt
from mattertune_nb.training.runs.stop import RunStopped


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


def test_validation_after_a_fit_leaves_the_curves_as_they_are(tmp_path):
    curves = mt.LiveCurves()
    trainer, model = toy_trainer(tmp_path, curves), Toy()
    trainer.fit(model)
    header = curves.view._header.value
    trainer.validate(model, verbose=False)
    trainer.test(model, verbose=False)
    assert curves.view._header.value == header


def test_a_second_fit_goes_on_with_the_curves(tmp_path):
    curves = mt.LiveCurves()
    trainer, model = toy_trainer(tmp_path, curves), Toy()
    trainer.fit(model)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(model)
    steps = curves.view.data.panels["loss"].series["toy_loss"].array()[:, 0]
    assert steps.tolist() == list(range(60))


@pytest.mark.parametrize(
    "settings",
    [
        {"fast_dev_run": True},
        {"max_epochs": -1, "max_steps": 30},
        {"max_epochs": None, "max_time": {"seconds": 2}},
        {"accumulate_grad_batches": 7},
        {"num_sanity_val_steps": 2},
        {"check_val_every_n_epoch": None, "val_check_interval": 7},
        {"logger": True},
        {"enable_checkpointing": False},
    ],
    ids=str,
)
def test_any_trainer(settings, tmp_path):
    curves = mt.LiveCurves()
    toy_trainer(tmp_path, curves, **settings).fit(Toy())
    assert "finished" in curves.view._header.value


def test_only_the_first_process_shows_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda self: False))
    curves = mt.LiveCurves()
    toy_trainer(tmp_path, curves, enable_checkpointing=False).fit(Toy())
    assert curves.view is None


class TwoOptimizers(Toy):
    """Steps by hand, as adversarial training does."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            loss = self.step(batch)
            self.manual_backward(loss)
            optimizer.step()
        self.log("loss", loss)

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]


def test_two_optimizers_count_a_batch_once(tmp_path):
    curves = mt.LiveCurves()
    toy_trainer(tmp_path, curves).fit(TwoOptimizers())
    assert "step 40 of 40" in curves.view._header.value


def test_a_module_that_logs_nothing_has_a_header_and_no_curve(tmp_path):
    curves = mt.LiveCurves()
    model = BoringModel()
    model.training_step = lambda batch, batch_idx: BoringModel.step(model, batch)
    model.validation_step = lambda batch, batch_idx: None
    toy_trainer(tmp_path, curves).fit(model)
    assert "finished" in curves.view._header.value
    assert curves.view.picture() is None


class Interrupt(Callback):
    """Presses Ctrl-C in the middle of an epoch, once or more often."""

    def __init__(self, step: int = 7, times: int = 1) -> None:
        self.step, self.times = step, times

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


class InterruptSanityCheck(Callback):
    """Presses Ctrl-C before the first step."""

    def on_sanity_check_start(self, trainer, pl_module):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_ends_the_fit_without_systemexit_and_keeps_the_curves(tmp_path):
    curves = mt.LiveCurves()
    before = signal.getsignal(signal.SIGINT)
    trainer = toy_trainer(tmp_path, curves, Interrupt(), max_epochs=50)
    trainer.fit(Toy())
    assert trainer.global_step == 8
    assert "stopped" in curves.view._header.value
    assert len(curves.view.data.panels["loss"].series["toy_loss"]) == 8
    assert signal.getsignal(signal.SIGINT) is before
    (saved,) = tmp_path.rglob("interrupted.ckpt")
    goes_on = toy_trainer(tmp_path, max_epochs=2)
    goes_on.fit(Toy(), ckpt_path=saved)
    assert goes_on.global_step == 40


def test_an_interrupt_before_the_first_step_ends_the_fit_too(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    callbacks = [mt.LiveCurves(), InterruptSanityCheck()]
    trainer = toy_trainer(tmp_path, *callbacks, num_sanity_val_steps=1, min_epochs=3)
    trainer.fit(Toy())
    assert trainer.global_step == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_least_number_of_epochs_does_not_outweigh_an_interrupt(tmp_path):
    trainer = toy_trainer(tmp_path, mt.LiveCurves(), Interrupt(), min_epochs=2)
    trainer.fit(Toy())
    assert trainer.global_step == 8


def test_a_second_interrupt_ends_at_once_and_is_no_systemexit(tmp_path):
    # whatever tests before it in this process have left
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(RunStopped, match="Interrupted twice"):
        toy_trainer(tmp_path, mt.LiveCurves(), Interrupt(times=2)).fit(Toy())
    # and the next cell can be interrupted as ever
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_error_in_the_fit_is_shown_as_failed_and_keeps_the_curves(tmp_path):
    class Broken(Toy):
        def training_step(self, batch, batch_idx):
            if self.trainer.global_step == 5:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    curves = mt.LiveCurves()
    with pytest.raises(ZeroDivisionError):
        toy_trainer(tmp_path, curves).fit(Broken())
    assert "failed" in curves.view._header.value
    assert len(curves.view.data.panels["loss"].series["toy_loss"]) == 5


def test_updates_are_few_and_cheap_in_a_long_run(tmp_path):
    curves = mt.LiveCurves()
    times = []

    class Watch(Callback):
        def on_fit_start(self, trainer, pl_module):
            update = curves.view.update
            curves.view.update = lambda p: (times.append(time.monotonic()), update(p))

    trainer = toy_trainer(tmp_path, curves, Watch(), max_epochs=40)
    start = time.monotonic()
    trainer.fit(Toy())
    seconds = time.monotonic() - start
    assert len(times) <= 4 * seconds + 2
    assert all(b - a >= 0.2 for a, b in pairwise(times[:-1]))


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


def test_a_tune_that_is_interrupted_twice_returns_what_it_has(tmp_path):
    config = mt.demo_config(tmp_path, "run")
    config.data.train.index = config.data.validation.index = ":8"
    config.data.batch_size = 2
    callbacks = [mt.LiveCurves(), Interrupt(times=2)]
    model, trainer = mt.MatterTuner(config).tune(callbacks=callbacks)
    assert trainer.global_step == 7
    assert mt.Run.attach(tmp_path / "run").status().state == "stopped"
    assert "stopped" in callbacks[0].view._header.value
    assert model.ase_calculator() is not None


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


FIT_IN_A_CELL = """
import os, time
os.environ["MATTERTUNE_NB_PLAIN"] = "0"
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
import mattertune_nb as mt
curves, heard_at = mt.LiveCurves(), []
class Watch(Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == 1:
            print(curves.view.curves.controls.along.comm.comm_id, flush=True)
        time.sleep(0.05)
        if curves.view.curves.figure.scales.along == "epoch":
            heard_at.append(trainer.global_step)
            trainer.should_stop = True
trainer = Trainer(max_epochs=30, accelerator="cpu", callbacks=[curves, Watch()],
    default_root_dir={root!r}, enable_progress_bar=False, enable_model_summary=False)
trainer.fit(BoringModel())
print("heard at", heard_at[:1], flush=True)
"""


def test_what_is_chosen_about_the_curves_is_heard_while_the_cell_trains(tmp_path):
    manager, client = start_new_kernel()
    printed: list[str] = []

    def hear(message):
        text = message["content"].get("text", "") if message["msg_type"] == "stream" else ""
        printed.append(text)
        comm_id = text.strip()
        if len(comm_id) == 32:
            data = {"method": "update", "state": {"index": 1}, "buffer_paths": []}
            content = {"comm_id": comm_id, "data": data}
            client.shell_channel.send(client.session.msg("comm_msg", content))

    try:
        code = FIT_IN_A_CELL.format(root=str(tmp_path))
        reply = client.execute_interactive(code, timeout=120, output_hook=hear)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    (said,) = [text for text in printed if "heard at" in text]
    assert 1 < int(said.split("[")[1].rstrip("]\n")) < 1000


FIT_THAT_FAILS = """
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
import mattertune_nb as mt

class Broken(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        raise ValueError("broken")

curves = mt.LiveCurves()
trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=[curves, Broken()], logger=False,
                  enable_progress_bar=False, enable_checkpointing=False)
try:
    trainer.fit(BoringModel())
except ValueError:
    print("failed")
"""


def test_after_a_fit_that_fails_the_kernel_hears_the_next_cell():
    manager, client = start_new_kernel()
    try:
        client.execute_interactive(FIT_THAT_FAILS, timeout=120, output_hook=lambda _: None)
        reply = client.execute_interactive("curves.view.title", timeout=30)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
