"""Lightning's private names, all in one file: what each is needed for, and no public name offers.

``tests/model/test_lightning_private.py`` has a test of each, which names it when Lightning changes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.apply_func import convert_tensors_to_scalars
from lightning.pytorch.loops.fit_loop import RestartStage
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
    from torch.optim.swa_utils import AveragedModel


def trainer_of(module: LightningModule) -> Trainer | None:
    """Return the Trainer that a module is attached to; the public ``module.trainer`` raises without one."""
    return module._trainer


def in_other_processes(trainer: Trainer) -> bool:
    """Return whether a fit runs in processes that Lightning forks or spawns, unseen by this one."""
    return isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)


def average_of(callback: WeightAveraging) -> AveragedModel | None:
    """Return the average that a callback keeps, ``None`` before it is set up."""
    return callback._average_model


def steps_logged(trainer: Trainer) -> int:
    """Return the number of steps as loggers count them: once, however many optimizers there are."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def can_stop_early(trainer: Trainer) -> bool:
    """Return whether ``should_stop`` ends the fit now: its least number of epochs and steps is done."""
    return trainer.fit_loop._can_stop_early


def validation_follows(trainer: Trainer) -> bool:
    """Return whether a validation is due anyway, not only because a callback ends the run."""
    loop, ends = trainer.fit_loop, trainer.should_stop
    assert loop._data_fetcher is not None
    trainer.should_stop = False
    try:
        return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
    finally:
        trainer.should_stop = ends


def validate_within_fit(trainer: Trainer) -> None:
    """Validate outside of Lightning's own intervals, as its training loop does."""
    connector = trainer._logger_connector
    first = connector._first_loop_iter
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True
    connector._first_loop_iter = first


@contextlib.contextmanager
def within_the_last_step(trainer: Trainer) -> Iterator[None]:
    """Count the last step and epoch as not yet done, which Lightning has already counted at a fit's end."""
    loop = trainer.fit_loop
    loop.epoch_progress.current.completed -= 1
    loop.epoch_loop._batches_that_stepped -= 1
    yield
    loop.epoch_progress.current.completed += 1
    loop.epoch_loop._batches_that_stepped += 1


def let_save_again(callback: ModelCheckpoint) -> None:
    """Let a callback save at a step at which it has already saved, since the weights are others now."""
    callback._last_global_step_saved = -1


def write_step_metrics(trainer: Trainer) -> None:
    """Let loggers record a step that is left by an exception; Lightning would after the batch's last hook."""
    trainer._logger_connector.on_batch_end()
    trainer._logger_connector.update_train_step_metrics()


def about_to_be_logged(trainer: Trainer) -> tuple[dict[str, Any], int] | None:
    """Return the metrics, and their step, that Lightning records after the hooks of a step or an epoch.

    ``None`` where it records nothing there; the results of a validation are recorded before its last hook.
    """
    connector = trainer._logger_connector
    is_step = connector._first_loop_iter is not None
    if not trainer.training or (is_step and not connector.should_update_logs):
        return None
    metrics = convert_tensors_to_scalars(connector.metrics["log"])
    if not metrics:
        return None
    step = metrics.pop("step", steps_logged(trainer) - (0 if is_step else 1))
    return {"epoch": trainer.current_epoch, **metrics}, int(step)


def continue_at_position(trainer: Trainer) -> None:
    """Give the training loader its state from the checkpoint, if Lightning created it too early."""
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end:
        # if max_steps is set, Lightning would take the end of an epoch for a whole epoch
        loop.epoch_progress.increment_completed()
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
        loop._restart_stage = RestartStage.RESUMED_ON_EPOCH_END
    if loop._combined_loader_states_to_load:
        assert loop._combined_loader is not None
        assert loop._data_fetcher is not None
        loop._combined_loader._load_state_dicts(loop._combined_loader_states_to_load)
        loop._combined_loader_states_to_load = []
        iter(loop._data_fetcher)


def predicted_batches(trainer: Trainer) -> list[list[Any]]:
    """Return what ``Trainer.predict`` will return, a list of batches per loader, to be edited."""
    return trainer.predict_loop._predictions
