"""Settings of Lightning's Trainer, under Lightning's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mattertune_nb.config.base import setting
from mattertune_nb.config.callbacks import EarlyStoppingConfig, EMAConfig, ModelCheckpointConfig
from mattertune_nb.config.errors import about
from mattertune_nb.config.hardware import HardwareConfig
from mattertune_nb.config.loggers import LoggerConfig, logger_from_string
from mattertune_nb.config.paths import label_of
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
        "Maximum number of passes over the training set; -1: no limit; not set: no limit if max_steps or "
        "max_time is set, else 1000.",
        label="Epochs",
        basic=True,
        ge=-1,
        group="training",
    )
    min_epochs: int | None = setting(
        None,
        "Passes before early stopping may act. Set it if errors rise in the first epochs.",
        label="Minimum epochs",
        ge=1,
        group="training",
    )
    max_steps: int = setting(
        -1,
        "Maximum number of optimizer steps; -1: no limit. Set it to compare data sets of different sizes "
        "at equal cost.",
        label="Maximum optimizer steps",
        ge=-1,
        group="training",
    )
    min_steps: int | None = setting(
        None,
        "Optimizer steps before early stopping may act. Set it if epochs are very short.",
        label="Minimum optimizer steps",
        ge=1,
        group="training",
    )
    max_time: str | None = setting(
        None,
        "Maximum wall time, as DD:HH:MM:SS; set it a little below a cluster's limit. A run that it ends can "
        "be resumed for the same time again.",
        label="Time limit",
        pattern=r"^\d+:\d{2}:\d{2}:\d{2}$",
        examples=["00:12:30:00"],
        group="training",
    )
    gradient_clip_val: float | None = setting(
        None,
        "Gradients are clipped to this size; 1 to 10 calms a jumping loss.",
        label="Gradient clipping",
        gt=0,
        group="training",
    )
    gradient_clip_algorithm: Literal["norm", "value"] = setting(
        "norm",
        "Clip the norm of all gradients together, or each value. The norm keeps their direction; "
        "leave it unless a recipe says otherwise.",
        label="Clipped quantity",
        options={"norm": "norm of all gradients", "value": "each value"},
        group="training",
    )
    accumulate_grad_batches: int = setting(
        1,
        "Number of batches whose gradients are accumulated before a step: a larger batch in the same memory.",
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
        "Validate after a fraction of an epoch (float) or every N batches (int); not set: at the "
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
        "Validate every N epochs. Raise it if validation takes much of the time.",
        label="Epochs between validations",
        ge=1,
        group="validation",
    )
    check_val_every_n_steps: int | None = setting(
        None,
        "Validate every N optimizer steps, counted across epochs, in place of both settings above. With "
        "several batches per step, an incomplete last step of an epoch counts as a fraction of a step.",
        label="Steps between validations",
        ge=1,
        group="validation",
    )
    num_sanity_val_steps: int = setting(
        0,
        "Validation batches tried before training; -1: all. Data are checked in any case. Raise it to test "
        "your own metrics.",
        label="Validation steps before training",
        ge=-1,
        group="validation",
    )

    early_stopping: EarlyStoppingConfig | None = setting(
        None,
        "Stop once a metric has stopped improving. Turn it on if you do not know how many "
        "epochs are needed.",
        label="Early stopping",
        basic=True,
        group="callbacks",
    )
    checkpoint: ModelCheckpointConfig = setting(
        ModelCheckpointConfig,
        "Which metric decides on the best weights, and where they go. Change it if one "
        "property matters most.",
        label="Best weights",
        group="callbacks",
    )
    ema: EMAConfig | None = setting(
        None,
        "Validate and keep a running average of the weights instead of the latest ones. Turn it on "
        "if validation errors jump from epoch to epoch.",
        label="Averaged weights (EMA)",
        group="callbacks",
    )
    replay: ReplayConfig | None = setting(
        None,
        "Also train on structures away from the target, labelled by the untuned model. Turn it on if the "
        "model should stay good elsewhere; steps take longer.",
        label="Replay",
        group="keep what the model knew",
    )
    l2_sp: L2SPConfig | None = setting(
        None,
        "Keep the weights near the pretrained ones (L2-SP). Turn it on if little data would move them far; "
        "costs next to nothing.",
        label="Stay near pretrained weights",
        group="keep what the model knew",
    )
    ewc: EWCConfig | None = setting(
        None,
        "Keep each weight near its pretrained value in proportion to how much predictions away from the "
        "target depend on it (EWC). Turn it on together with replay, or in its place if steps must not "
        "take longer.",
        label="Protect weights used elsewhere",
        group="keep what the model knew",
    )
    unfreezing: UnfreezingConfig | None = setting(
        None,
        "Train the last layers first, and one more interaction block every few epochs. Turn it on if the "
        "first steps would spoil what the first layers know.",
        label="Gradual unfreezing",
        group="keep what the model knew",
    )
    foreign_set: ForeignSetConfig | None = setting(
        ForeignSetConfig,
        "Measure during validations how predictions for structures away from the target change: what the "
        "tuned model has forgotten. Turn it off if the model has no other use.",
        label="Measure changes elsewhere",
        group="keep what the model knew",
    )
    walls: bool = setting(
        True,
        "Check before, during and after training whether atoms of each pair of elements repel each other at "
        "short distances. Turn it off if it takes long, e.g. with dozens of elements.",
        label="Check for short-range holes",
        group="keep what the model knew",
    )
    loggers: list[LoggerConfig] = setting(
        list,
        "Additional loggers for the metrics: 'csv', 'tensorboard', 'wandb', the import path of any other "
        "Lightning logger, or their configs.",
        label="Loggers",
        group="logging",
    )
    log_every_n_steps: int = setting(
        10,
        "Optimizer steps between logged training losses. Lower it for a smoother curve of a short run.",
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
            text = (
                f"Minimum optimizer steps, {self.min_steps}, exceeds Maximum optimizer steps, "
                f"{self.max_steps}"
            )
            raise about(text, "min_steps")
        if 0 < (self.max_epochs or -1) < (self.min_epochs or 0):
            text = f"Minimum epochs, {self.min_epochs}, exceeds Epochs, {self.max_epochs}"
            raise about(text, "min_epochs")
        return self

    @model_validator(mode="after")
    def _check_interval_of_validations(self) -> Self:
        if self.check_val_every_n_steps is not None and (
            self.val_check_interval is not None or self.check_val_every_n_epoch != 1
        ):
            text = (
                "Steps between validations replaces Interval of validations and Epochs "
                "between validations; leave those at their defaults"
            )
            raise about(text, "check_val_every_n_steps")
        return self

    @model_validator(mode="after")
    def _check_foreign_files(self) -> Self:
        if self.replay is None or self.foreign_set is None or self.replay.file is None:
            return self
        if self.replay.file == self.foreign_set.file:
            text = (
                "Replay trains on the same file on which forgetting is measured; choose a different file "
                "for one of them"
            )
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
        """Whether neither epochs nor steps limit the length of a run."""
        endless = self.max_epochs == -1 or (self.max_epochs is None and self.max_time is not None)
        return endless and self.max_steps == -1

    @property
    def ends_by_time(self) -> bool:
        """Whether only time limits the length of a run."""
        return self.is_open_ended and self.max_time is not None

    def trainer_kwargs(self) -> dict[str, Any]:
        """Return the arguments of Lightning's Trainer, without callbacks and loggers."""
        kwargs = self.model_dump(exclude=_NOT_LIGHTNINGS)
        if self.check_val_every_n_steps is not None:
            # Lightning counts batches, and counts across epochs if the epoch interval is None
            kwargs["val_check_interval"] = (
                self.check_val_every_n_steps * self.accumulate_grad_batches
            )
            kwargs["check_val_every_n_epoch"] = None
        if self.gradient_clip_val is None:
            kwargs.pop("gradient_clip_algorithm")
        return kwargs | self.additional_trainer_kwargs

    def create_loggers(self, default_dir: Path) -> list[Any]:
        """Build the loggers; their files go to `default_dir` if they name no folder."""
        return [logger.create_logger(default_dir) for logger in self.loggers]
