"""Lightning's Trainer for a run: built from the config, and tried before anything is written."""

from __future__ import annotations

import inspect
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    LearningRateFinder,
    LearningRateMonitor,
    ProgressBar,
)
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError, MatterTuneError, TrainingError, did_you_mean
from mattertune_nb.config.recipes import ForeignSetConfig
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.model.loader import as_list
from mattertune_nb.recipes.budget import Budget
from mattertune_nb.recipes.ewc import EWC
from mattertune_nb.recipes.l2_sp import L2SP
from mattertune_nb.recipes.replay import Replay
from mattertune_nb.recipes.unfreezing import GradualUnfreezing
from mattertune_nb.training.callbacks.cell_progress import CellProgress
from mattertune_nb.training.callbacks.first_look import FirstLook
from mattertune_nb.training.callbacks.foreign import ForeignRecorder
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.callbacks.walls import WallRecorder
from mattertune_nb.training.checkpoints import WholeCheckpointIO
from mattertune_nb.training.hardware import accelerator_here
from mattertune_nb.training.movable_checkpoint import MovableCheckpoint
from mattertune_nb.training.pace import Pace
from mattertune_nb.training.records.metrics import worst
from mattertune_nb.training.records.recording import RunLogger
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.runs.new_settings import NewSettings
from mattertune_nb.training.runs.resuming import Resumption
from mattertune_nb.training.runs.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightning.pytorch import LightningModule

    from mattertune_nb.config.callbacks import ModelCheckpointConfig
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.runs.resuming import Kept


_FINDERS: dict[type[Callback], tuple[str, str]] = {
    LearningRateFinder: ("model.optimizer.lr", "lr_find"),
    BatchSizeFinder: ("data.batch_size", "scale_batch_size"),
}


class BestCheckpoint(MovableCheckpoint):
    """The run's own `best`; its state is kept apart from that of a user's checkpoints.

    Parameters
    ----------
    kept
        For a resumed run that uses another measure: the best checkpoint so far.
    **kwargs
        As for Lightning's.
    """

    def __init__(self, kept: Kept | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kept = kept

    @property
    def state_key(self) -> str:
        """Name under which a checkpoint holds the state."""
        return "mattertune_nb.best"

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self._kept is not None:
            self._begin_with(self._kept)
            return
        # `last` was saved before the last weights were measured, see Pace.measure_last
        best = Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}"
        if not trainer.ckpt_path or not best.is_file():
            return
        checkpoint = read_checkpoint(best)
        if checkpoint["global_step"] == trainer.global_step:
            self.load_state_dict(checkpoint["callbacks"][self.state_key])

    def _begin_with(self, kept: Kept) -> None:
        self.best_k_models, self.kth_best_model_path, self.best_model_path = {}, "", ""
        self.best_model_score = None
        # no value yet: as Lightning begins
        self.kth_value = torch.tensor(worst(self.mode))
        if kept.score is not None:
            path = str(Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}")
            score = torch.tensor(kept.score)
            self.best_k_models = {path: score}
            self.kth_best_model_path = self.best_model_path = path
            self.best_model_score = self.kth_value = score


class MonitorsLogged(Callback):
    """Reports a monitored validation metric that was not logged, before Lightning fails on it.

    Parameters
    ----------
    monitors
        Metric by the setting that names it.
    """

    def __init__(self, monitors: Mapping[str, str]) -> None:
        self._monitors = monitors

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        logged = trainer.callback_metrics
        for setting, monitor in self._monitors.items():
            if monitor.startswith("val/") and monitor not in logged and not trainer.sanity_checking:
                there = ", ".join(name for name in logged if name.startswith("val/")) or "nothing"
                msg = (
                    f"{setting}: '{monitor}' was not logged in validation, but {there}. A validation_step "
                    "of your own has to call self._compute_loss(predictions, labels), or to log that metric."
                )
                raise TrainingError(msg)


def build_trainer(
    run: RunDirectory,
    config: MatterTunerConfig,
    stop: StopRequest,
    callbacks: Sequence[Callback] = (),
    resumption: Resumption | None = None,
) -> Trainer:
    """Build Lightning's Trainer with the record, the checkpoints and the supervisor of a run."""
    new = resumption or Resumption()
    settings = config.trainer
    shows_progress = any(
        isinstance(c, ProgressBar) or hasattr(c, "shows_progress") for c in callbacks
    )
    best = BestCheckpoint(
        new.kept,
        dirpath=run.checkpoints,
        filename=run.best.stem,
        monitor=settings.checkpoint.monitor,
        mode=settings.checkpoint.mode,
        enable_version_counter=False,
    )
    pace = Pace(stop)
    own: list[Callback] = [
        NewSettings(new),
        MonitorsLogged(config.monitors()),
        *([] if shows_progress else [CellProgress(run.path.name)]),
        LearningRateMonitor(logging_interval="step"),
        *_user_checkpoints(settings.checkpoint, run),
        *_asked_for(config, run),
        FirstLook(run),
        pace,
        best,
        # last, so that the checkpoint `last` holds what all others have decided
        RunSupervisor(run, config, stop, pace, new),
    ]
    kwargs: dict[str, Any] = {
        "logger": [RunLogger(run), *settings.create_loggers(run.path)],
        "default_root_dir": run.path,
        "enable_progress_bar": any(isinstance(c, ProgressBar) for c in callbacks),
        "enable_model_summary": False,
    } | settings.trainer_kwargs()
    kwargs["accelerator"] = accelerator_here(settings)
    # Lightning would end the epoch early, from which there is no exact way to go on
    if kwargs.pop("max_time") is not None and settings.is_open_ended:
        kwargs["max_epochs"] = -1
    kwargs["plugins"] = [WholeCheckpointIO(run), *as_list(kwargs.get("plugins"))]
    return Trainer(**kwargs, callbacks=[*callbacks, *own])


def _asked_for(config: MatterTunerConfig, run: RunDirectory) -> list[Callback]:
    """Build the callbacks that the settings turn on."""
    settings = config.trainer
    found: list[Callback] = []
    if settings.early_stopping is not None:
        found.append(settings.early_stopping.create_callback())
    if settings.ema is not None:
        found.append(settings.ema.create_callback())
    if settings.replay is not None:
        found.append(Replay(**settings.replay.model_dump(), seed=config.run.seed))
    if settings.l2_sp is not None:
        found.append(L2SP(settings.l2_sp.weight))
    if settings.ewc is not None:
        found.append(EWC(**settings.ewc.model_dump()))
    if settings.unfreezing is not None:
        found.append(GradualUnfreezing(settings.unfreezing.epochs))
    elsewhere = settings.foreign_set
    budget = Budget((elsewhere or ForeignSetConfig()).share)
    if elsewhere is not None:
        found.append(ForeignRecorder(run, elsewhere.file, budget))
    if settings.walls:
        found.append(WallRecorder(run, budget))
    return found


def check_trainer(config: MatterTunerConfig, callbacks: Sequence[Callback] = ()) -> None:
    """Refuse what Lightning would refuse later, when a run directory is there.

    Raises
    ------
    ConfigError
        Names the field, or says what Lightning says of it.
    """
    for callback in callbacks:
        if type(callback) in _FINDERS:
            field, method = _FINDERS[type(callback)]
            msg = (
                f"{type(callback).__name__} would train with another {field} than the run's config says. "
                f"Find it first, with Lightning's Tuner(Trainer(…)).{method}(model, datamodule=…), and set "
                "it there."
            )
            raise ConfigError(msg)
    known = set(inspect.signature(Trainer.__init__).parameters)
    for name in config.trainer.additional_trainer_kwargs:
        if name not in known:
            msg = (
                f"trainer.additional_trainer_kwargs.{name}: Lightning's Trainer has no such argument."
                f"{did_you_mean(name, known)}"
            )
            raise ConfigError(msg)
    # nothing is written before a fit
    run = RunDirectory(config.run.root / (config.run.name or "trial"))
    # a logger may begin a run at a server, so it is made once; its arguments are checked elsewhere
    without = config.trainer.model_copy(update={"loggers": []})
    config = config.model_copy(update={"trainer": without})
    logging.disable(logging.INFO)
    try:
        build_trainer(run, config, StopRequest(run), callbacks)
    except MatterTuneError:
        raise
    except Exception as exc:  # Lightning raises TypeError, ValueError and errors of its own
        msg = f"trainer: Lightning refuses these settings: {' '.join(str(exc).split())}"
        raise ConfigError(msg) from exc
    finally:
        logging.disable(logging.NOTSET)


def check_batches(config: MatterTunerConfig, n_frames: int) -> None:
    """Refuse a validation after more batches than an epoch has.

    Raises
    ------
    ConfigError
        Gives both numbers.
    """
    interval, data = config.trainer.val_check_interval, config.data
    further = config.trainer.additional_trainer_kwargs
    validates = further.get("limit_val_batches") != 0 and not further.get("fast_dev_run")
    if not isinstance(interval, int) or not validates:
        return
    devices = config.trainer.devices if isinstance(config.trainer.devices, int) else 1
    per_step = data.structures_per_batch(n_frames) * max(devices, 1) * config.trainer.num_nodes
    # how many batches of so many atoms there are is known once they are packed
    is_packed = data.max_atoms is not None
    n_batches = n_frames if is_packed else math.ceil(n_frames / per_step)
    limit = further.get("overfit_batches") or further.get("limit_train_batches")
    if isinstance(limit, int):
        n_batches = min(n_batches, limit)
    elif limit is not None:
        n_batches = int(n_batches * limit)
    if interval > n_batches:
        msg = (
            f"trainer.val_check_interval: {interval} batches, but an epoch has "
            f"{'at most ' if is_packed else ''}{n_batches}. Lower it, or set check_val_every_n_epoch "
            "instead."
        )
        raise ConfigError(msg)


def _user_checkpoints(config: ModelCheckpointConfig, run: RunDirectory) -> list[MovableCheckpoint]:
    """Build the checkpoints that a user asked for beside `best` and `last`, if any."""
    if config.dirpath is None:
        taken = {path.stem for path in (run.last, run.previous, run.next)}
        if config.filename in taken:
            msg = (
                f"trainer.checkpoint.filename: '{config.filename}' is a checkpoint of the run's own. "
                "Choose another, or set dirpath."
            )
            raise ConfigError(msg)
        # the run has a `best` and a `last` there already
        filename = None if config.filename == run.best.stem else config.filename
        config = config.model_copy(update={"save_last": False, "filename": filename})
    return [MovableCheckpoint(**config.arguments(run.checkpoints))] if config.keeps_more else []
