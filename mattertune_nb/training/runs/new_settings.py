"""Applies settings that were edited before a resume, which a checkpoint would otherwise revert."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from typing_extensions import override

from mattertune_nb.model.lightning_private import can_stop_early
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.training.records.metrics import worst
from mattertune_nb.training.runs.resuming import counts_otherwise

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer
    from torch.optim import Optimizer

    from mattertune_nb.training.runs.resuming import Resumption

log = logging.getLogger(__name__)

_PLATEAU = "reduce_on_plateau"
_COUNTED = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
"""What a schedule that waits for a plateau has seen so far."""


class NewSettings(Callback):
    """Applies the current settings to optimizer, schedules and callbacks after Lightning restored old ones.

    An edited schedule or learning rate applies as if it had always been set: the rate is that of the new
    schedule at this step. A schedule that waits for a plateau continues counting, unless the rate has
    changed.

    Parameters
    ----------
    resumption
        What is new.
    """

    def __init__(self, resumption: Resumption) -> None:
        self._new = resumption
        self._schedules: list[dict[str, Any]] = []
        self.note = ""
        """Why nothing was trained, if so."""

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        module = cast("FinetuneModuleBase", pl_module)
        if self._new.before is None or _has_own_optimizer(module):
            return
        self._schedules = list(checkpoint["lr_schedulers"])
        if self._changes_rate(module) or self._has_other_plateau(module):
            checkpoint["lr_schedulers"] = []  # restored by on_train_start
        averaged = any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if "current_model_state" in checkpoint and not averaged:
            # training continues from its own weights if averaging was switched off
            module.load_state_dict(checkpoint["current_model_state"])

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("FinetuneModuleBase", pl_module)
        if not trainer.ckpt_path:
            return
        for change in self._new.changed:
            log.info("changed since step %d: %s", trainer.global_step, change)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping):
                self._renew_early_stopping(trainer, callback)
        if not self._new.changed or _has_own_optimizer(module):
            return
        (optimizer,) = trainer.optimizers
        changed = {change.path for change in self._new.changed}
        for name in type(module.hparams.optimizer).model_fields:
            if name != "lr" and f"model.optimizer.{name}" in changed:
                for group in optimizer.param_groups:
                    group[name] = getattr(module.hparams.optimizer, name)
        if self._changes_rate(module):
            self._play_from_the_start(trainer, module, optimizer)
        elif self._has_other_plateau(module):
            self._restore(trainer, timed=True)

    def _changes_rate(self, module: FinetuneModuleBase) -> bool:
        """Return whether the rate at this step has changed: by value, or by a schedule that counts."""
        before, after = self._schedules_of(module)
        rate = any(change.path == "model.optimizer.lr" for change in self._new.changed)
        return rate or _timed(before) != _timed(after)

    def _has_other_plateau(self, module: FinetuneModuleBase) -> bool:
        before, after = self._schedules_of(module)
        return before != after and not self._changes_rate(module)

    def _schedules_of(
        self, module: FinetuneModuleBase
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the old and new schedules as plain data."""
        before = (self._new.before or {})["model"]["lr_scheduler"]
        listed = before if isinstance(before, list) else [] if before is None else [before]
        return listed, [schedule.to_dict() for schedule in module.hparams.schedules]

    def _play_from_the_start(
        self, trainer: Trainer, module: FinetuneModuleBase, optimizer: Optimizer
    ) -> None:
        """Set the optimizer's rate to that of the new schedule at this step."""
        made = module.configure_optimizers()
        (fresh,), schedules = made if isinstance(made, tuple) else ([made], [])
        places = {"step": trainer.global_step, "epoch": _epochs_done(trainer)}
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # about schedule steps without optimizer steps
            for config in schedules:
                for _ in range(places.get(config.get("interval", ""), 0)):
                    config["scheduler"].step()
        for group, new in zip(optimizer.param_groups, fresh.param_groups, strict=True):
            # some schedules store their bounds there, and also change the momentum
            for name in group.keys() - new.keys():
                del group[name]
            group |= {name: value for name, value in new.items() if name != "params"}
        for config, new in zip(trainer.lr_scheduler_configs, schedules, strict=True):
            config.scheduler.load_state_dict(new["scheduler"].state_dict())
        is_other = any(change.path == "model.optimizer.lr" for change in self._new.changed)
        if not is_other:
            self._restore(trainer, timed=False)

    def _restore(self, trainer: Trainer, *, timed: bool) -> None:
        """Restore the state of schedules from the checkpoint; for plateaus only what was counted."""
        waited = [state for state in self._schedules if "num_bad_epochs" in state]
        others = [state for state in self._schedules if "num_bad_epochs" not in state]
        for config in trainer.lr_scheduler_configs:
            if config.reduce_on_plateau:
                before, after = self._watched(trainer)
                if waited and before == after:
                    config.scheduler.__dict__.update({k: waited[0][k] for k in _COUNTED})
            elif timed and others:
                config.scheduler.load_state_dict(others.pop(0))

    def _watched(self, trainer: Trainer) -> tuple[Any, Any]:
        """Return the quantities that old and new plateau schedules watch; empty if counted differently."""
        before, after = self._schedules_of(cast("FinetuneModuleBase", trainer.lightning_module))
        found = [
            next(((s["monitor"], s["mode"]) for s in part if s["name"] == _PLATEAU), None)
            for part in (before, after)
        ]
        if found[1] is not None and counts_otherwise(found[1][0], self._new.changed):
            return None, found[1]
        return found[0], found[1]

    def _renew_early_stopping(self, trainer: Trainer, callback: EarlyStopping) -> None:
        """Apply early stopping's new patience, and reset its best value if that is now measured differently.

        A run that early stopping has ended stays ended, unless its settings have changed.
        """
        edited = {
            change.path: change.after
            for change in self._new.changed
            if change.path.startswith("trainer.early_stopping.")
        }
        callback.patience = edited.get("trainer.early_stopping.patience", callback.patience)
        has_ended = callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED
        if has_ended and not edited and not counts_otherwise(callback.monitor, self._new.changed):
            trainer.should_stop = True
            if can_stop_early(trainer):
                self.note = (
                    f"Early stopping on {callback.monitor} has already ended this run, so nothing was "
                    "trained now. To go on, raise its patience or turn it off (trainer.early_stopping)."
                )
                log.warning("%s", self.note)
            return
        callback.stopping_reason = EarlyStoppingReason.NOT_STOPPED
        if counts_otherwise(callback.monitor, self._new.changed):
            callback.best_score = callback.best_score.new_tensor(worst(callback.mode))
            callback.wait_count = 0


def _has_own_optimizer(module: FinetuneModuleBase) -> bool:
    return type(module).configure_optimizers is not FinetuneModuleBase.configure_optimizers


def _timed(schedules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [schedule for schedule in schedules if schedule["name"] != _PLATEAU]


def _epochs_done(trainer: Trainer) -> int:
    """Return the epochs whose last optimizer step is done, even if the epoch has not ended."""
    loop = trainer.fit_loop
    progress: Any = loop.epoch_progress.current
    is_at_end = progress.ready > progress.processed and loop.epoch_loop.batch_progress.is_last_batch
    return int(progress.processed) + is_at_end
