"""Settings of Lightning's callbacks: checkpoints, early stopping, averaged weights."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import about
from mattertune_nb.config.paths import label_of

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging


class ModelCheckpointConfig(StrictConfig):
    """Which weights are kept; :class:`lightning.pytorch.callbacks.ModelCheckpoint`.

    A run always keeps `best` and `last` in its own directory; any settings beyond `monitor` and `mode` are
    applied in addition.
    """

    monitor: str = setting(
        "val/total_loss",
        "Metric that decides on the best weights, e.g. val/forces_mae. Change it if one "
        "property matters more than the total loss.",
        label="Metric of the best weights",
        basic=True,
    )
    mode: Literal["min", "max"] = setting(
        "min",
        "Whether the metric should fall or rise. Errors and losses fall; change it for a score "
        "such as R².",
        label="Best is",
        basic=True,
        options={"min": "the smallest", "max": "the largest"},
    )
    dirpath: Path | None = setting(
        None,
        "Folder of the checkpoints; not set: the run's own folder. Set it if the disk of the run is small.",
        label="Folder of checkpoints",
    )
    filename: str | None = setting(
        None,
        "File name, which may contain {epoch} and metrics; not set: 'best' in a run. Set it if several "
        "are kept.",
        label="File name",
    )
    save_top_k: int = setting(
        1,
        "How many of the best checkpoints are kept; -1: all, 0: none. Raise it to average or compare "
        "several later.",
        label="Number of best kept",
        ge=-1,
    )
    save_last: bool = setting(
        False,
        "Also keep a copy of the last state in `dirpath`. A run keeps its own last state anyway.",
        label="Keep the last state too",
    )
    every_n_epochs: int | None = setting(
        None,
        "Save every N epochs only. Raise it if epochs are short and saving takes much of the time.",
        label="Epochs between saves",
        ge=1,
    )
    every_n_train_steps: int | None = setting(
        None,
        "Save every N steps instead of epochs. Set it if an epoch takes hours.",
        label="Steps between saves",
        ge=1,
    )
    train_time_interval: float | None = setting(
        None,
        "Save every so many minutes instead of epochs. Set it if an epoch takes hours.",
        label="Minutes between saves",
        unit="min",
        gt=0,
    )
    save_weights_only: bool = setting(
        False,
        "Leave out the optimizer; smaller, but training cannot continue from it. Turn it on if "
        "disk space is short.",
        label="Weights only",
    )
    auto_insert_metric_name: bool = setting(
        False,
        "Write 'epoch=3' instead of '3' into names; metric names contain a slash, so take care with "
        "`filename`.",
        label="Metric names in file names",
    )

    @model_validator(mode="after")
    def _check_intervals(self) -> Self:
        names = ("every_n_epochs", "every_n_train_steps", "train_time_interval")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            labels = " and ".join(label_of(n, type(self).model_fields[n]) for n in given)
            text = f"{labels} cannot be combined; set one of them"
            raise about(text, given[-1])
        return self

    @property
    def keeps_more(self) -> bool:
        """Whether more is requested than the `best` and `last` that each run keeps."""
        defaults = type(self)(monitor=self.monitor, mode=self.mode)
        return self != defaults

    def create_callback(self, default_dirpath: str | Path | None = None) -> ModelCheckpoint:
        """Build the callback for any Trainer; `default_dirpath` is used if none is set."""
        from lightning.pytorch.callbacks import ModelCheckpoint

        return ModelCheckpoint(**self.arguments(default_dirpath))

    def arguments(self, default_dirpath: str | Path | None = None) -> dict[str, Any]:
        """Return the arguments of the callback.

        Parameters
        ----------
        default_dirpath
            Where the weights are kept if no folder is set.
        """
        minutes = self.train_time_interval
        return self.model_dump() | {
            "dirpath": self.dirpath or default_dirpath,
            "train_time_interval": None if minutes is None else timedelta(minutes=minutes),
        }


class EarlyStoppingConfig(StrictConfig):
    """Stop once a metric stops improving; :class:`lightning.pytorch.callbacks.EarlyStopping`."""

    monitor: str = setting(
        "val/total_loss",
        "Metric that is watched, e.g. val/forces_mae. Choose what matters most in your use of the model.",
        label="Watched metric",
        basic=True,
    )
    patience: int = setting(
        20,
        "Validations without improvement before stopping. Raise it if the curve is noisy, e.g. "
        "with few validation frames.",
        label="Patience",
        basic=True,
        ge=0,
    )
    min_delta: float = setting(
        0.0,
        "Smallest change that counts, in the metric's unit. Raise it to stop once gains are below "
        "what matters to you.",
        label="Smallest improvement",
        ge=0,
    )
    mode: Literal["min", "max"] = setting(
        "min",
        "Whether the metric should fall or rise. Errors and losses fall; change it for a score "
        "such as R².",
        label="Better is",
        options={"min": "smaller", "max": "larger"},
    )
    stopping_threshold: float | None = setting(
        None,
        "Stop as soon as the metric is this good. Set it if a certain accuracy is enough.",
        label="Good enough at",
    )
    divergence_threshold: float | None = setting(
        None,
        "Stop as soon as the metric is this bad. Set it to end hopeless runs of a scan early.",
        label="Hopeless at",
    )
    check_finite: bool = setting(
        True,
        "Stop when the metric is NaN or infinite. Turn it off only to look for the cause.",
        label="Stop at NaN or infinity",
    )
    check_on_train_epoch_end: bool = setting(
        False,
        "Check at the end of the training epoch instead of after validation. Turn it on to watch a "
        "training metric.",
        label="Check after training epochs",
    )
    verbose: bool = setting(
        False,
        "Log each improvement of the metric. Turn it on to follow a run by its log alone.",
        label="Log each improvement",
    )

    def create_callback(self) -> EarlyStopping:
        """Build the callback for any Trainer."""
        from lightning.pytorch.callbacks import EarlyStopping

        return EarlyStopping(**self.model_dump())


class EMAConfig(StrictConfig):
    """Exponential moving average of the weights, by Lightning's ``EMAWeightAveraging``."""

    decay: float = setting(
        0.99,
        "Share of the old average kept at each step; 0.99 for hundreds of steps, 0.999 beyond.",
        label="Decay",
        basic=True,
        gt=0,
        lt=1,
    )
    start_step: int = setting(
        0,
        "Optimizer step at which averaging begins. Raise it past the initial fall of the loss, "
        "which is not worth averaging.",
        label="First averaged step",
        ge=0,
    )

    def create_callback(self) -> WeightAveraging:
        """Build the callback for any Trainer."""
        from mattertune_nb.model.averaging import LateEMA

        return LateEMA(self.decay, self.start_step)
