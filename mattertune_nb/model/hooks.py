"""Callbacks that the module provides itself, so that its metrics are the same under any Trainer."""

from __future__ import annotations

import functools
import sys
import threading
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError, TrainingError
from mattertune_nb.model.lightning_private import continue_at_position
from mattertune_nb.model.loader import graph_dataset
from mattertune_nb.model.processes import gathered

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch import LightningModule, Trainer
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.model.metrics import PropertyMetrics
    from mattertune_nb.model.potential import Potential


class ValidationMetrics(Callback):
    """Log the exact errors over the whole set, of all loaders together, at the end of an evaluation.

    Named sets also have their own errors, e.g. ``val/bulk/forces_mae``.
    """

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _begin(pl_module, "val", trainer.val_dataloaders)

    @override
    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _begin(pl_module, "test", trainer.test_dataloaders)

    @override
    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        cast("Potential", pl_module).sample.loader = dataloader_idx

    on_test_batch_start = on_validation_batch_start

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _log(pl_module, "val")

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _log(pl_module, "test")


class PlateauSteps(Callback):
    """Report each validation to our schedules that respond to a plateau.

    Schedules returned by a user's own ``configure_optimizers`` are stepped by Lightning.
    """

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        for config in trainer.lr_scheduler_configs:
            ours = config.reduce_on_plateau and config.frequency == sys.maxsize
            if ours and config.monitor in trainer.callback_metrics:
                config.scheduler.step(trainer.callback_metrics[config.monitor])  # type: ignore[arg-type]


class ResumeLoader(Callback):
    """Continue training at the exact position of the checkpoint.

    Lightning restores the training loader's state when it creates it; a schedule that needs the length of the
    run creates it earlier, before the checkpoint is read, so that the state would never be used. Nor is it
    used after the end of an epoch.
    """

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        loop = checkpoint.get("loops", {}).get("fit_loop", {})
        if not loop.get("epoch_loop.batch_progress", {}).get("is_last_batch"):
            return
        # limit_train_batches may have ended the epoch before the sampler did
        for place in loop["state_dict"].get("combined_loader", []):
            if "drawn" in place:
                place["drawn"] = place["batches"]

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.is_resuming:
            continue_at_position(trainer)


class FitTurn(Callback):
    """Start a fit once the predictions in progress have finished."""

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        turns = cast("Potential", pl_module).turns
        with turns.lock:
            turns.fitted_by = threading.get_ident()


class FiniteLoss(Callback):
    """Stop before a NaN or infinite loss reaches the weights, and name the frames."""

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch: GraphBatch = batch

    @override
    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        finite = bool(torch.isfinite(loss).all())
        # all processes stop together: one alone would leave the others waiting for its gradients
        if trainer.strategy.reduce_boolean_decision(finite):
            return
        dataset = graph_dataset(trainer.train_dataloader)
        names = [] if finite else [dataset.source(int(i)) for i in self._batch.index]
        frames = "; ".join(dict.fromkeys(chain.from_iterable(gathered(trainer, names))))
        if finite:
            msg = f"The loss became NaN or infinite in another process, on the batch with {frames}."
            raise TrainingError(msg)
        msg = (
            f"The loss became {float(loss.detach())} at step {trainer.global_step} on the batch with "
            f"{frames}. Check these frames, lower the learning rate, or set gradient_clip_val."
        )
        raise TrainingError(msg)


_REPLACED = {
    "training_epoch_end": "on_train_epoch_end",
    "validation_epoch_end": "on_validation_epoch_end",
    "test_epoch_end": "on_test_epoch_end",
}


def adapt_hooks(cls: type[LightningModule], ours: Callable[[Any], list[Callback]]) -> None:
    """Let a subclass keep our callbacks, which its metrics need, alongside its own.

    Raises
    ------
    ConfigError
        The class has a hook that Lightning 2 no longer calls; the message names its replacement.
    """
    for old, new in _REPLACED.items():
        if hasattr(cls, old):
            msg = f"{cls.__name__}.{old}: Lightning 2 has no such hook; name it '{new}(self)'."
            raise ConfigError(msg)
    if "configure_callbacks" in cls.__dict__:
        cls.configure_callbacks = _with_ours(cls.configure_callbacks, ours)  # type: ignore[method-assign, assignment]


def _with_ours(
    configure_callbacks: Callable[[Any], Any], ours: Callable[[Any], list[Callback]]
) -> Callable[[Any], list[Callback]]:
    """Return a user's ``configure_callbacks`` with our callbacks added, because metrics need them."""

    @functools.wraps(configure_callbacks)
    def both(self: LightningModule) -> list[Callback]:
        found = configure_callbacks(self)
        theirs: list[Callback] = list(found) if isinstance(found, (list, tuple)) else [found]
        kinds = {type(callback) for callback in theirs}
        return [*theirs, *(callback for callback in ours(self) if type(callback) not in kinds)]

    return both


def _metrics(module: LightningModule, stage: str) -> PropertyMetrics:
    return cast("PropertyMetrics", cast("Potential", module).metrics[stage])


def _begin(module: LightningModule, stage: str, loaders: Any) -> None:
    _metrics(module, stage).reset()
    ours = cast("Potential", module)
    ours.sample.reset()
    ours.named_errors.begin(loaders, ours.device)


def _log(module: LightningModule, stage: str) -> None:
    named = cast("Potential", module).named_errors.compute()
    values = _metrics(module, stage).compute() | named
    # the values are the same in every process already; sync_dist only quiets Lightning's advice
    module.log_dict({f"{stage}/{k}": v.float() for k, v in values.items()}, sync_dist=True)
