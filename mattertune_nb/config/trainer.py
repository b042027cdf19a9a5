"""Settings of Lightning's Trainer, under Lightning's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mattertune_nb.config.base import setting
from mattertune_nb.config.callbacks import EarlyStoppingConfig, EMAConfig, ModelCheckpointConfig
from mattertune_nb.config.errors import about
from mattertune_nb.config.hardware import HardwareConfig
from mattertune_nb.config.loggers import LoggerConfig, logger_from_string
from mattertune_nb.config.messages import label_of
from mattertune_nb.config.recipes import (
    EWCConfig,
    ForeignSetConfig,
    L2SPConfig,
    ReplayConfig,
    UnfreezingConfig,
)

if TYPE_CHECKING:
    from pathlib import Path


_NOT_LIGHTNINGS = {
    "additional_trainer_kwargs",
    "check_val_every_n_steps",
    "checkpoint",
    "early_stopping",
    "ema",
    "ewc",
    "foreign_set",
    "l2_sp",
    "loggers",
    "replay",
    "unfreezing",
    "walls",
}
"""Settings that Lightning's Trainer does not have."""


class TrainerConfig(HardwareConfig):
    """How, how long and on what hardware to train.

    A config for a cluster is valid on a laptop; only starting it there is refused.
    """

    max_epochs: int | None = setting(
        100,
        "Passes over the training set at most; -1: no limit; not set: none where max_steps or "
        "max_time is, else 1000.",
        label="Epochs",
        basic=True,
        ge=-1,
        group="training",
    )
    min_epochs: int | None = setting(
        None,
        "Passes before early stopping may act. Set it where the first epochs make errors rise.",
        label="Least epochs",
        ge=1,
        group="training",
    )
    max_steps: int = setting(
        -1,
        "Optimizer steps at most; -1: no limit. Set it to compare data sets of different sizes at "
        "equal cost.",
        label="Most optimizer steps",
        ge=-1,
        group="training",
    )
    min_steps: int | None = setting(
        None,
        "Optimizer steps before early stopping may act. Set it where epochs are very short.",
        label="Least optimizer steps",
        ge=1,
        group="training",
    )
    max_time: str | None = setting(
        None,
        "Wall time at most, as DD:HH:MM:SS; set it a little below a cluster's limit. A run that it "
        "ends can be resumed, for as long again.",
        label="Time limit",
        pattern=r"^\d+:\d{2}:\d{2}:\d{2}$",
        examples=["00:12:30:00"],
        group="training",
    )
    gradient_clip_val: float | None = setting(
        None,
        "Gradients are cut to this size; 1 to 10 calms a jumping loss.",
        label="Gradient clipping",
        gt=0,
        group="training",
    )
    gradient_clip_algorithm: Literal["norm", "value"] = setting(
        "norm",
        "Cut the norm of all gradients together, or each value. The norm keeps their direction; "
        "leave it unless a recipe says otherwise.",
        label="Clipped quantity",
        options={"norm": "norm of all gradients", "value": "each value"},
        group="training",
    )
    accumulate_grad_batches: int = setting(
        1,
        "Batches whose gradients are added up before a step; a larger batch in the same memory.",
        label="Batches per optimizer step",
        ge=1,
        group="training",
    )

    val_check_interval: (
        Annotated[int, Field(ge=1, strict=True)]
        | Annotated[float, Field(gt=0, le=1, strict=True)]
        | None
    ) = setting(
        None,
        "Validate after a fraction of an epoch (a float) or every N batches (an int); not set: at the "
        "end of each epoch.",
        label="Interval of validations",
        group="validation",
        kinds={
            "none": "not set",
            "float": "fraction of an epoch",
            "int": "every N batches",
        },
    )
    check_val_every_n_epoch: int = setting(
        1,
        "Validate every N epochs. Raise it where validation takes much of the time.",
        label="Epochs between validations",
        ge=1,
        group="validation",
    )
    check_val_every_n_steps: int | None = setting(
        None,
        "Validate every N optimizer steps, counted over the ends of epochs, in place of both above. With "
        "several batches per step, a last step of an epoch that has fewer counts as a part of one.",
        label="Steps between validations",
        ge=1,
        group="validation",
    )
    num_sanity_val_steps: int = setting(
        0,
        "Validation batches tried before training; -1: all. Data are checked anyway. Raise it to try "
        "metrics of your own.",
        label="Validation steps before training",
        ge=-1,
        group="validation",
    )

    early_stopping: EarlyStoppingConfig | None = setting(
        None,
        "Stop once a metric has stopped improving. Turn it on where you do not know how many "
        "epochs are needed.",
        label="Early stopping",
        basic=True,
        group="callbacks",
    )
    checkpoint: ModelCheckpointConfig = setting(
        ModelCheckpointConfig,
        "Which metric decides on the best weights, and where they go. Change it where one "
        "property matters most.",
        label="Best weights",
        group="callbacks",
    )
    ema: EMAConfig | None = setting(
        None,
        "Validate and keep a running average of the weights instead of the last ones. Turn it on "
        "where validation errors jump from epoch to epoch.",
        label="Averaged weights (EMA)",
        group="callbacks",
    )
    replay: ReplayConfig | None = setting(
        None,
        "Train on structures away from the target beside it, as the untuned model labels them. Turn it on "
        "where the model is to stay good elsewhere; a step takes longer.",
        label="Replay",
        group="keep what the model knew",
    )
    l2_sp: L2SPConfig | None = setting(
        None,
        "Hold the weights near the pretrained ones (L2-SP). Turn it on where little data would carry them "
        "far; costs next to nothing.",
        label="Hold weights near the pretrained",
        group="keep what the model knew",
    )
    ewc: EWCConfig | None = setting(
        None,
        "Hold each weight near the pretrained one as much as predictions away from the target depend on it "
        "(EWC). Turn it on beside replay, or in its place where steps must not take longer.",
        label="Hold what matters elsewhere",
        group="keep what the model knew",
    )
    unfreezing: UnfreezingConfig | None = setting(
        None,
        "Train the last layers first, and one interaction block more every few epochs. Turn it on where the "
        "first steps would spoil what the first layers know.",
        label="Gradual unfreezing",
        group="keep what the model knew",
    )
    foreign_set: ForeignSetConfig | None = setting(
        ForeignSetConfig,
        "Measure beside validations what becomes of structures away from the target: what the tuned model "
        "has forgotten. Turn it off where the model is for nothing else.",
        label="Look elsewhere, too",
        group="keep what the model knew",
    )
    walls: bool = setting(
        True,
        "Look before and after whether the atoms of each pair of elements push each other apart at short "
        "distances. Turn it off where that takes long, as with dozens of elements.",
        label="Look for holes between atoms",
        group="keep what the model knew",
    )
    loggers: list[LoggerConfig] = setting(
        list,
        "Further records of the metrics: 'csv', 'tensorboard', 'wandb', the import path of any other "
        "logger of Lightning's, or their configs.",
        label="Loggers",
        group="logging",
    )
    log_every_n_steps: int = setting(
        10,
        "Optimizer steps between two logged training losses. Lower it for a smoother curve of a "
        "short run.",
        label="Steps between logged losses",
        ge=1,
        group="logging",
    )
    additional_trainer_kwargs: dict[str, Any] = setting(
        dict,
        "Further arguments of Lightning's Trainer, e.g. {'limit_train_batches': 10}.",
        label="Further Trainer arguments",
        group="logging",
    )

    @field_validator("max_epochs", "max_steps")
    @classmethod
    def _check_some_training(cls, value: int | None) -> int | None:
        if value == 0:
            msg = "0 would train nothing; give 1 or more, or -1 for no limit"
            raise ValueError(msg)
        return value

    @field_validator("loggers", mode="before")
    @classmethod
    def _expand_loggers(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if isinstance(value, (list, tuple)):
            return [logger_from_string(item) if isinstance(item, str) else item for item in value]
        return value

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if 0 < self.max_steps < (self.min_steps or 0):
            text = f"the least optimizer steps, {self.min_steps}, exceed the most, {self.max_steps}"
            raise about(text, "min_steps")
        if 0 < (self.max_epochs or -1) < (self.min_epochs or 0):
            text = f"Least epochs, {self.min_epochs}, exceed Epochs, {self.max_epochs}"
            raise about(text, "min_epochs")
        return self

    @model_validator(mode="after")
    def _check_interval_of_validations(self) -> Self:
        if self.check_val_every_n_steps is not None and (
            self.val_check_interval is not None or self.check_val_every_n_epoch != 1
        ):
            text = (
                "Steps between validations stands in place of Interval of validations and Epochs "
                "between validations; leave those at their defaults"
            )
            raise about(text, "check_val_every_n_steps")
        return self

    @model_validator(mode="after")
    def _check_foreign_files(self) -> Self:
        if self.replay is None or self.foreign_set is None or self.replay.file is None:
            return self
        if self.replay.file == self.foreign_set.file:
            text = "Replay trains on the file on which forgetting is measured; choose another for one of them"
            raise about(text, "foreign_set", "file")
        return self

    @model_validator(mode="after")
    def _check_additional_kwargs(self) -> Self:
        own = {*type(self).model_fields, "callbacks", "logger"}
        clash = sorted(own & set(self.additional_trainer_kwargs))
        if clash:
            instead = {
                "callbacks": "give callbacks to tune(callbacks=[...])",
                "logger": "use the setting Loggers",
            }.get(clash[0]) or (
                f"use the setting {label_of(clash[0], type(self).model_fields[clash[0]])}"
            )
            text = f"'{clash[0]}' does not belong here; {instead} instead"
            raise about(text, "additional_trainer_kwargs")
        return self

    @property
    def max_seconds(self) -> float | None:
        """`max_time` in seconds."""
        if self.max_time is None:
            return None
        days, hours, minutes, seconds = (int(part) for part in self.max_time.split(":"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    @property
    def is_open_ended(self) -> bool:
        """Whether neither epochs nor steps say how long a run is."""
        endless = self.max_epochs == -1 or (self.max_epochs is None and self.max_time is not None)
        return endless and self.max_steps == -1

    @property
    def ends_by_time(self) -> bool:
        """Whether nothing but time says how long a run is."""
        return self.is_open_ended and self.max_time is not None

    def trainer_kwargs(self) -> dict[str, Any]:
        """Return the arguments of Lightning's Trainer, without callbacks and loggers."""
        kwargs = self.model_dump(exclude=_NOT_LIGHTNINGS)
        if self.check_val_every_n_steps is not None:
            # Lightning counts batches, and over epochs where it is told of none
            kwargs["val_check_interval"] = (
                self.check_val_every_n_steps * self.accumulate_grad_batches
            )
            kwargs["check_val_every_n_epoch"] = None
        if self.gradient_clip_val is None:
            kwargs.pop("gradient_clip_algorithm")
        return kwargs | self.additional_trainer_kwargs

    def create_loggers(self, default_dir: Path) -> list[Any]:
        """Build the loggers, their files going to `default_dir` where they name no place."""
        return [logger.create_logger(default_dir) for logger in self.loggers]
