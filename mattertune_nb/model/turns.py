"""Coordinates threads that use a model: one predicts at a time, and none during a fit in another."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from typing_extensions import override

from mattertune_nb.config.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase


class Turns:
    """The lock of one model, and the thread that fits it; a copy of the model has its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.fitted_by: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Turns, ()


class FitTurn(Callback):
    """Start a fit once the predictions in progress have finished."""

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        turns = cast("FinetuneModuleBase", pl_module).turns
        with turns.lock:
            turns.fitted_by = threading.get_ident()


@contextmanager
def predicting(model: FinetuneModuleBase) -> Iterator[None]:
    """Hold a model in eval mode for predictions, by one thread at a time.

    Raises
    ------
    TrainingError
        Another thread is fitting it: weights would change in the middle of a prediction.
    """
    turns, trainer = model.turns, model._trainer
    with turns.lock:
        is_fitted = (
            trainer is not None
            and trainer.state.fn == TrainerFn.FITTING
            and trainer.state.status == TrainerStatus.RUNNING
        )
        if is_fitted and turns.fitted_by not in (None, threading.get_ident()):
            msg = (
                "The model is being trained in another thread, so it cannot predict in this one. Wait until "
                "the fit has ended, or predict with a copy of the model that was made before."
            )
            raise TrainingError(msg)
        was_training = model.training
        model.eval()
        try:
            yield
        finally:
            model.train(was_training)
