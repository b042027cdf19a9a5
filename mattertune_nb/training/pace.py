"""The pace of a run: how its time limit shapes the schedule, and whether its last weights can be measured."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from typing_extensions import override

from mattertune_nb.model.lightning_private import (
    let_save_again,
    validate_within_fit,
    within_the_last_step,
)
from mattertune_nb.model.stretching import tell_remaining

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.runs.stop import StopRequest

log = logging.getLogger(__name__)

SHARE = 0.1
"""A validation in mid-epoch at the end of a run may take at most this fraction of the run's time."""


class Pace(Callback):
    """Measures steps and validations, and makes a run's schedule end with its time limit.

    Parameters
    ----------
    stop
        Knows how much time is left.
    """

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop
        self._began = self._trained_from = time.monotonic()
        self._first_step = 0
        self._before: float | None = None
        self._validation_began = 0.0
        self._validation_seconds: float | None = None
        self._validated_at = -1

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        cast("FinetuneModuleBase", pl_module).ends_by_time = self._stop.seconds is not None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"seconds_per_step": self._before}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["seconds_per_step"]

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.monotonic()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._trained_from = time.monotonic()
        self._first_step = trainer.global_step

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        done = trainer.global_step - self._first_step
        if done:
            self._before = (time.monotonic() - self._trained_from) / done
        if self._stop.seconds_left is None or not self._before:
            return
        seconds, total = self._validation_seconds or 0.0, self._stop.seconds or 0.0
        self._stop.reserved = seconds if seconds <= SHARE * total else 0.0
        # processes with different rates would have different weights
        left = trainer.strategy.broadcast(self._stop.seconds_left / self._before)
        cast("FinetuneModuleBase", pl_module).steps_in_time = trainer.global_step + left
        for config in trainer.lr_scheduler_configs:
            length = 1.0
            if config.interval == "epoch":
                length = max(trainer.num_training_batches // trainer.accumulate_grad_batches, 1)
            tell_remaining(config.scheduler, max(left / length - 1, 0))

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation_began = time.monotonic()

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._validation_seconds = time.monotonic() - self._validation_began
            self._validated_at = trainer.global_step

    def measure_last(self, trainer: Trainer) -> None:
        """Validate weights that no other validation will see, if this costs a small part of the run's time.

        Otherwise the training since the last validation would be lost, because the best weights are kept.
        """
        if not trainer.enable_validation or self._validated_at == trainer.global_step:
            return
        seconds = self._validation_seconds
        if seconds is None:
            # a validation costs less than a step, because no gradients of the weights are needed
            step = math.inf if self._before is None else self._before
            seconds = step * int(sum(trainer.num_val_batches))
        affordable = seconds < SHARE * (time.monotonic() - self._began)
        if trainer.strategy.reduce_boolean_decision(affordable):
            _validate(trainer)
        else:
            log.info(
                "The last weights were not measured: a validation would take over %.0f %% of the run's time.",
                100 * SHARE,
            )

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.enable_validation or not any(
            isinstance(callback, StochasticWeightAveraging)
            for callback in trainer.callbacks  # type: ignore[attr-defined]
        ):
            return
        # Lightning installs the average after the last validation: measure it, it may be the best
        log.info("The average of the weights (SWA):")
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint):
                let_save_again(callback)
        with within_the_last_step(trainer):
            _validate(trainer)


def _validate(trainer: Trainer) -> None:
    """Validate outside of Lightning's own intervals, and let checkpoints see the result."""
    validate_within_fit(trainer)
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint):
            # some wait for the end of the epoch, which will not come
            callback.on_train_epoch_end(trainer, trainer.lightning_module)
