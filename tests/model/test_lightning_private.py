"""Lightning's private names still mean what we use them for; each test names the one that has changed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, ManualOptimBoringModel
from lightning.pytorch.loggers import Logger

import mattertune_nb
from mattertune_nb.model import lightning_private
from mattertune_nb.model.lightning_private import (
    about_to_be_logged,
    average_of,
    can_stop_early,
    continue_at_position,
    in_other_processes,
    let_save_again,
    predicted_batches,
    steps_logged,
    trainer_of,
    validate_within_fit,
    validation_follows,
    within_the_last_step,
    write_step_metrics,
)

OWNERS = {
    "_trainer": lambda trainer: trainer.lightning_module,
    "_average_model": lambda trainer: trainer.callbacks[0],
    "_batches_that_stepped": lambda trainer: trainer.fit_loop.epoch_loop,
    "_can_stop_early": lambda trainer: trainer.fit_loop,
    "_data_fetcher": lambda trainer: trainer.fit_loop,
    "_should_check_val_fx": lambda trainer: trainer.fit_loop.epoch_loop,
    "_logger_connector": lambda trainer: trainer,
    "_first_loop_iter": lambda trainer: trainer._logger_connector,
    "_last_global_step_saved": lambda trainer: trainer.checkpoint_callback,
    "_restart_stage": lambda trainer: trainer.fit_loop,
    "_combined_loader": lambda trainer: trainer.fit_loop,
    "_combined_loader_states_to_load": lambda trainer: trainer.fit_loop,
    "_load_state_dicts": lambda trainer: trainer.fit_loop._combined_loader,
    "_predictions": lambda trainer: trainer.predict_loop,
}
"""Who has each name, during a fit."""

PACKAGE = Path(mattertune_nb.__file__).parent
HERE = Path(lightning_private.__file__)


def private_names(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


class At(Callback):
    """Keeps what a function finds after each training batch."""

    def __init__(self, look) -> None:
        self.look, self.seen = look, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(self.look(trainer))


class Record(Logger):
    """Keeps what it is given, with its step."""

    name, version = "record", ""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[dict, int]] = []

    def log_hyperparams(self, params, *args, **kwargs): ...

    def log_metrics(self, metrics, step=None):
        self.rows.append((dict(metrics), step))

    def values(self, name: str) -> list[float]:
        return [metrics[name] for metrics, _ in self.rows if name in metrics]


class Logging(BoringModel):
    """Logs the number of each step and the batches of each validation."""

    def training_step(self, batch, batch_idx):
        self.log("number", float(self.global_step))
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.log("validated", 1.0, reduce_fx="sum")
        return super().validation_step(batch, batch_idx)


@pytest.fixture
def fit(tmp_path):
    """Return a function that fits a small model of Lightning's own, for two epochs of three batches."""

    def fit(*callbacks, model=None, ckpt_path=None, **settings) -> Trainer:
        torch.manual_seed(0)
        limits = {"max_epochs": 2, "limit_train_batches": 3, "limit_val_batches": 2}
        trainer = Trainer(
            callbacks=list(callbacks),
            default_root_dir=tmp_path,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            **{"logger": False} | limits | settings,
        )
        trainer.fit(model or BoringModel(), ckpt_path=ckpt_path)
        return trainer

    return fit


@pytest.mark.parametrize("name", sorted(OWNERS))
def test_lightning_has(name, fit):
    look = At(lambda trainer: hasattr(OWNERS[name](trainer), name))
    fit(EMAWeightAveraging(), ModelCheckpoint(), look)
    assert all(look.seen), f"Lightning has no '{name}' where {HERE.name} looks for it"


def test_each_private_name_of_lightning_has_a_test():
    assert private_names(HERE) == set(OWNERS)


def test_no_other_file_uses_a_private_name_of_lightning():
    users = {
        str(file.relative_to(PACKAGE)): names
        for file in PACKAGE.rglob("*.py")
        if file != HERE and (names := private_names(file) & set(OWNERS))
    }
    imports = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("lightning")
        and any(alias.name.startswith("_") for alias in node.names)
    ]
    assert users == {}
    assert set(imports) <= {str(HERE.relative_to(PACKAGE))}


def test_a_module_has_a_trainer_once_it_is_attached(fit):
    model = BoringModel()
    assert trainer_of(model) is None
    assert trainer_of(model) is not fit(model=model)
    assert trainer_of(model) is not None


@pytest.mark.parametrize(("strategy", "elsewhere"), [("auto", False), ("ddp_fork", True)])
def test_a_fit_may_run_in_processes_that_lightning_starts(strategy, elsewhere):
    trainer = Trainer(strategy=strategy, devices=1, accelerator="cpu", logger=False)
    assert in_other_processes(trainer) is elsewhere


def test_an_average_exists_once_it_is_set_up(fit):
    callback = EMAWeightAveraging()
    assert average_of(callback) is None
    fit(callback)
    assert isinstance(average_of(callback).module, BoringModel)


def test_steps_are_counted_once_for_several_optimizers(fit):
    class TwoOptimizers(ManualOptimBoringModel):
        def configure_optimizers(self):
            return [torch.optim.SGD(self.layer.parameters(), lr=0.1) for _ in range(2)]

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(self.step(batch))
                optimizer.step()

    trainer = fit(model=TwoOptimizers())
    assert (trainer.global_step, steps_logged(trainer)) == (12, 6)


def test_a_run_may_stop_early_once_its_least_number_of_steps_is_done(fit):
    look = At(can_stop_early)
    fit(look, min_steps=5)
    assert look.seen == [False] * 4 + [True] * 2


def test_a_validation_follows_the_last_batch_of_an_epoch_and_not_a_stop(fit):
    class Stop(At):
        def on_train_batch_end(self, trainer, *args):
            trainer.should_stop = True
            super().on_train_batch_end(trainer, *args)
            assert trainer.should_stop
            trainer.should_stop = False

    look = Stop(validation_follows)
    fit(look)
    assert look.seen == [False, False, True] * 2


def test_a_validation_within_an_epoch_leaves_the_metrics_of_the_step(fit):
    class Validate(At):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 1:
                validate_within_fit(trainer)
                self.seen.append(float(trainer.callback_metrics["validated"]))
            assert trainer.training

    look, logger = Validate(None), Record()
    fit(look, model=Logging(), logger=logger)
    assert look.seen == [2.0, 2.0]
    assert logger.values("number") == [0, 1, 2, 3, 4, 5]


def test_a_measurement_after_a_fit_counts_to_its_last_step(fit):
    class Again(Callback):
        def on_train_end(self, trainer, pl_module):
            with within_the_last_step(trainer):
                validate_within_fit(trainer)

    logger = Record()
    trainer = fit(Again(), model=Logging(), logger=logger)
    rows = [(row["epoch"], step) for row, step in logger.rows if "validated" in row]
    assert rows == [(0, 2), (1, 5), (1, 5)]
    assert (trainer.current_epoch, steps_logged(trainer)) == (2, 6)


def test_weights_are_saved_twice_at_one_step(fit, tmp_path):
    class Twice(Callback):
        def on_train_end(self, trainer, pl_module):
            callback = trainer.checkpoint_callback
            for file in tmp_path.glob("*.ckpt"):
                file.unlink()
            callback.on_validation_end(trainer, pl_module)
            found.append(len(list(tmp_path.glob("*.ckpt"))))
            let_save_again(callback)
            callback.on_validation_end(trainer, pl_module)
            found.append(len(list(tmp_path.glob("*.ckpt"))))

    found: list[int] = []
    fit(Twice(), ModelCheckpoint(tmp_path, save_on_train_epoch_end=False))
    assert found == [0, 1]


def test_what_is_about_to_be_logged_is_what_the_logger_gets(fit):
    look, logger = At(about_to_be_logged), Record()
    fit(look, model=Logging(), logger=logger)
    assert look.seen == [row for row in logger.rows if "number" in row[0]]


def test_a_step_that_is_left_by_an_exception_is_logged(fit):
    class Left(Exception):  # noqa: N818  no error
        pass

    class Leave(Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == 2:
                write_step_metrics(trainer)
                raise Left

    logger = Record()
    with pytest.raises(Left):
        fit(Leave(), model=Logging(), logger=logger)
    assert logger.values("number") == [0, 1]


def test_a_fit_continued_at_the_end_of_an_epoch_trains_all_that_is_left(fit, tmp_path):
    class Save(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "epoch.ckpt", weights_only=False)

    class Continue(At):
        def on_train_start(self, trainer, pl_module):
            continue_at_position(trainer)

    fit(Save(), max_epochs=1, max_steps=6)
    look = Continue(lambda trainer: trainer.global_step)
    trainer = fit(look, max_steps=6, ckpt_path=tmp_path / "epoch.ckpt")
    assert look.seen == [4, 5, 6]
    assert trainer.current_epoch == 2


def test_predictions_of_a_trainer_can_be_put_in_another_order():
    class Reverse(Callback):
        def on_predict_epoch_end(self, trainer, pl_module):
            (batches,) = predicted_batches(trainer)
            seen.append(list(batches))
            batches.reverse()

    seen: list = []
    trainer = Trainer(
        callbacks=[Reverse()], accelerator="cpu", logger=False, limit_predict_batches=3
    )
    found = trainer.predict(BoringModel())
    assert len(found) == 3
    assert all(a is b for a, b in zip(found, reversed(seen[0]), strict=True))
