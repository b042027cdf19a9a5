"""The callback that maintains a run's status and `last` checkpoint, and stops it on request."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.callbacks import Checkpoint
from typing_extensions import override

from mattertune_nb.config.errors import RunError
from mattertune_nb.data.plain import atoms_to_plain
from mattertune_nb.model.lightning_private import (
    can_stop_early,
    validation_follows,
    write_step_metrics,
)
from mattertune_nb.model.loader import as_list, graph_dataset
from mattertune_nb.model.processes import gathered
from mattertune_nb.training.files import sync, write_json
from mattertune_nb.training.hardware import device_in_words
from mattertune_nb.training.outcome.headlines import validation_in_words
from mattertune_nb.training.random_state import rng_state, set_rng_state
from mattertune_nb.training.records.metrics import CHANGED, lost_records
from mattertune_nb.training.records.recording import RunLogger, unwritten
from mattertune_nb.training.runs.resuming import settings_for_checkpoint
from mattertune_nb.training.runs.stop import RunStopped

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.pace import Pace
    from mattertune_nb.training.run_dir import RunDirectory
    from mattertune_nb.training.runs.resuming import Resumption
    from mattertune_nb.training.runs.stop import StopRequest

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 2.0


class RunSupervisor(Checkpoint):
    """Saves `last`, ends the run at an optimizer step when asked, and updates the status file.

    `last` is written only where Lightning can continue exactly: after an optimizer step in the middle of an
    epoch that is not followed by a validation, and at the end of an epoch. It contains the state of all
    random number generators.

    Parameters
    ----------
    run
        The run's directory.
    config
        Its settings, stored in checkpoints.
    stop
        Checked at each optimizer step.
    pace
        Measures the last weights if the run ends in mid-epoch.
    resumption
        What is new in a resumed run.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: MatterTunerConfig,
        stop: StopRequest,
        pace: Pace,
        resumption: Resumption,
    ) -> None:
        self._run = run
        self._settings = settings_for_checkpoint(config)
        self._resumption = resumption
        self._stop = stop
        self._pace = pace
        self._save_seconds = config.run.save_every * 60
        self._saved_at = time.monotonic()
        self._heartbeat_at = 0.0
        self._is_removed = False
        self._step = -1
        self._rng: list[dict[str, Any]] = []
        self._unwritten: list[dict[str, Any]] = []
        self._loaded: list[dict[str, Any]] = []
        self._ends_at_step = False
        self.is_cut = False
        """Whether a callback ended an epoch before its last batch, so that a resume must finish it."""
        self.started = False
        """Whether training has begun, so that there is something to save."""

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._heartbeat_at = time.monotonic()
        # several processes leave together, at a step
        self._stop.at_once = not trainer.ckpt_path and trainer.world_size == 1
        if trainer.is_global_zero:
            # the status, but not yet the Trainer, knows where a resumed run continues
            with contextlib.suppress(OSError):
                self._run.write_status("running")

    @override
    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop.install()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning puts its own in place after on_fit_start
        self._stop.install()
        self._stop.at_once = False
        self.started = True
        self._step = trainer.global_step
        if trainer.is_global_zero:
            on = device_in_words(trainer.strategy.root_device, trainer.world_size)
            log.info("Training on %s%s.", on, f", on from step {self._step}" if self._step else "")
        self._tell_epoch(trainer)
        self._heartbeat(trainer, force=True)
        if self._rng:
            # with a different number of processes than before an exact continuation is impossible
            set_rng_state(self._rng[trainer.global_rank % len(self._rng)])
            self._rng = []
            if trainer.is_global_zero:
                place = trainer.current_epoch, self._step
                written = self._run.metrics()
                self._run.append_metrics("resumed", *place, {})
                for record in lost_records(written, self._loaded):
                    self._run.append(record)
                if self._resumption.changed:
                    self._run.append_metrics(CHANGED, *place, self._resumption.record())

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell_epoch(trainer)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._heartbeat(trainer)
        if trainer.global_step == self._step:
            # gradients are still being accumulated: a run ended here ends at the step
            self._ends_at_step = self._ends_at_step or trainer.should_stop
            trainer.should_stop = False
            return
        trainer.should_stop = trainer.should_stop or self._ends_at_step
        self._step, self._ends_at_step = trainer.global_step, False
        stop = self._should_stop(trainer)
        if validation_follows(trainer):
            return
        if not stop and _cuts_the_epoch(trainer):
            self._save(trainer, trainer.current_epoch)
            self.is_cut = True
            return
        if trainer.is_last_batch:
            if _is_last_epoch(trainer):
                self._pace.measure_last(trainer)
            return
        due = time.monotonic() - self._saved_at > self._save_seconds
        if stop or trainer.strategy.broadcast(due):
            self._save(trainer, trainer.current_epoch)
        if stop:
            write_step_metrics(trainer)
            self._pace.measure_last(trainer)
            if trainer.is_global_zero and self._run.last.is_file():
                # a state with measurements in between cannot be continued exactly
                self._run.last.touch()
            raise RunStopped
        if trainer.global_step == trainer.max_steps:
            self._pace.measure_last(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._heartbeat(trainer, force=True)
        stop = self._should_stop(trainer)
        if self.is_cut:
            # a state with measurements in between cannot be continued exactly
            if trainer.is_global_zero and self._run.last.is_file():
                self._run.last.touch()
            return
        self._save(trainer, trainer.current_epoch + 1)
        if stop and not _is_last_epoch(trainer):
            raise RunStopped

    @override
    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._heartbeat(trainer)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and not self.is_cut and _cuts_the_epoch(trainer):
            self._save(trainer, trainer.current_epoch)
            self.is_cut = True
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        log.info(validation_in_words(trainer.current_epoch, trainer.global_step, values))
        sample = cast("FinetuneModuleBase", pl_module).sample
        datasets = [graph_dataset(loader) for loader in as_list(trainer.val_dataloaders)]
        with contextlib.suppress(OSError):
            write_json(
                self._run.validation_file,
                {
                    "epoch": trainer.current_epoch,
                    "step": trainer.global_step,
                    "points": sample.points(),
                    "ranked_by": sample.ranked_by.name,
                    "frames": sample.frames(),
                    "worst": [
                        {
                            "error": error,
                            "source": datasets[k].source(index),
                            "atoms": atoms_to_plain(datasets[k].frames[index]),
                        }
                        for k, index, error in sample.worst()
                    ],
                },
            )

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # each process draws its own random numbers; all of them are here whenever a checkpoint is written
        checkpoint["rng"] = gathered(trainer, rng_state())
        checkpoint["settings"] = self._settings
        written = [record for logger in _loggers(trainer) for record in logger.recent]
        checkpoint["records"] = [*written, *self._unwritten]

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._rng = list(checkpoint.get("rng", []))
        self._loaded = list(checkpoint.get("records", []))

    def _tell_epoch(self, trainer: Trainer) -> None:
        for logger in _loggers(trainer):
            logger.epoch = trainer.current_epoch

    def _should_stop(self, trainer: Trainer) -> bool:
        """Return whether all processes end here; a run whose directory is gone ends at once."""
        stop = bool(self._stop) or self._is_removed
        # all processes of a distributed run must leave at the same step
        if not trainer.strategy.reduce_boolean_decision(stop, all=False):
            return False
        removed = self._is_removed or not self._run.config_file.exists()
        if trainer.strategy.reduce_boolean_decision(removed, all=False):
            msg = (
                f"{self._run.path}: the directory was removed during training, so the run ended at step "
                f"{trainer.global_step}."
            )
            raise RunError(msg)
        return True

    def _save(self, trainer: Trainer, next_epoch: int) -> None:
        last, new = self._run.last, self._run.next
        # Lightning writes them after this hook, but the checkpoint says that the hook is done
        self._unwritten = unwritten(trainer)
        if trainer.is_global_zero:
            sync(self._run.metrics_file)
        trainer.save_checkpoint(new, weights_only=False)
        self._unwritten = []
        self._saved_at = time.monotonic()
        if trainer.is_global_zero and new.exists():
            if last.exists():
                last.replace(self._run.previous)
            new.replace(last)
            self._heartbeat(trainer, saved=(next_epoch, trainer.global_step))

    def _heartbeat(
        self, trainer: Trainer, *, force: bool = False, saved: tuple[int, int] | None = None
    ) -> None:
        now = time.monotonic()
        due = force or saved is not None or now - self._heartbeat_at > _HEARTBEAT_SECONDS
        if not trainer.is_global_zero or not due:
            return
        self._heartbeat_at = now
        if not self._run.is_of_this_process():
            self._is_removed = True
            return
        with contextlib.suppress(OSError):
            self._run.write_status(
                "running",
                epoch=trainer.current_epoch,
                step=trainer.global_step,
                saved=saved,
                steps_per_epoch=_steps_per_epoch(trainer),
            )


def _loggers(trainer: Trainer) -> list[RunLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]


def _steps_per_epoch(trainer: Trainer) -> int:
    """Return the optimizer steps per epoch, which is not known in advance for batches limited by atoms."""
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def _cuts_the_epoch(trainer: Trainer) -> bool:
    """Return whether a callback is ending the run in the middle of an epoch."""
    return trainer.should_stop and can_stop_early(trainer) and not trainer.is_last_batch


def _is_last_epoch(trainer: Trainer) -> bool:
    limits = trainer.max_epochs, trainer.max_steps
    epochs_done = limits[0] not in (None, -1) and trainer.current_epoch + 1 >= limits[0]
    return bool(epochs_done or (limits[1] != -1 and trainer.global_step >= limits[1]))
