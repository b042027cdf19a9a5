"""The config of a whole run."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mattertune_nb.backbones.registry import AnyBackboneConfig
from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.cosine_schedules import CosineAnnealingLRConfig, OneCycleLRConfig
from mattertune_nb.config.errors import ConfigError, about, did_you_mean
from mattertune_nb.config.properties import metric_names
from mattertune_nb.config.run import RunConfig
from mattertune_nb.config.schedule_kinds import ReduceOnPlateauConfig
from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.data.division.splits import DataModuleConfig


class MatterTunerConfig(StrictConfig):
    """Everything that a run needs: what to tune, on which data, how, and where its record goes."""

    model: AnyBackboneConfig = setting(
        ...,
        "Backbone, properties, losses and optimizer. Start with CHGNet; change it if errors "
        "stay too high.",
        label="Model",
        fixed=True,
        basic=True,
    )
    data: DataModuleConfig = setting(
        ...,
        "Structures with labels, and how they are split. Fill this in first: everything else follows from "
        "it.",
        label="Data",
        fixed=True,
        basic=True,
    )
    trainer: TrainerConfig = setting(
        TrainerConfig,
        "How long, and on what hardware. Change the epochs if the estimate is too long, or the "
        "last epoch is still the best.",
        label="Training",
        basic=True,
    )
    run: RunConfig = setting(
        RunConfig,
        "Name, place and seed of the run. Set a name to find it again among many.",
        label="Run",
        basic=True,
    )

    @model_validator(mode="after")
    def _check_recipes(self) -> Self:
        if self.model.lora is None:
            return self
        for name in ("l2_sp", "ewc"):
            if getattr(self.trainer, name) is not None:
                text = "it constrains weights that LoRA (model.lora) does not train; remove one of the two"
                raise about(text, "trainer", name)
        return self

    def check_length(self) -> None:
        """Refuse a schedule that takes its length from a run without a fixed length.

        Raises
        ------
        ConfigError
            Names the field.
        """
        timed = [s for s in self.model.schedules if not isinstance(s, ReduceOnPlateauConfig)]
        last = timed[-1] if timed else None
        if (
            not self.trainer.is_open_ended
            or not isinstance(last, CosineAnnealingLRConfig | OneCycleLRConfig)
            or last.T_max is not None
        ):
            return
        if not self.trainer.ends_by_time:
            text = (
                "the run has no fixed length, so set the schedule's Length (T_max), or Epochs "
                "(trainer.max_epochs), Maximum optimizer steps (trainer.max_steps) or Time limit "
                "(trainer.max_time)"
            )
            raise about(text, "model", "lr_scheduler", "T_max")
        if isinstance(last, CosineAnnealingLRConfig) and 0 < last.warmup < 1:
            text = (
                "only time ends the run, so its length is not known beforehand: give the warm-up as a "
                "number of intervals, e.g. 20"
            )
            raise about(text, "model", "lr_scheduler", "warmup")

    def monitors(self) -> dict[str, str]:
        """Return the monitored metrics, by the setting that names each."""
        watched = {"trainer.checkpoint.monitor": self.trainer.checkpoint.monitor}
        if self.trainer.early_stopping is not None:
            watched["trainer.early_stopping.monitor"] = self.trainer.early_stopping.monitor
        for schedule in self.model.schedules:
            if isinstance(schedule, ReduceOnPlateauConfig):
                watched["model.lr_scheduler.monitor"] = schedule.monitor
        return watched

    def check_monitors(self) -> None:
        """Refuse a monitor that neither training nor validation of these properties will log.

        Not part of validation, because a user's own module or callback may log the metric.

        Raises
        ------
        ConfigError
            Names the field and lists the metrics that will exist.
        """
        learnt = self.model.learnt
        # training logs only losses, no errors
        train_losses = [n for n in metric_names(learnt, "train") if n.endswith("_loss")]
        known = metric_names(learnt) + train_losses
        for name in getattr(self.data, "validation_names", ()):
            known += [m for m in metric_names(learnt, f"val/{name}") if not m.endswith("_loss")]
        for field, monitor in self.monitors().items():
            if monitor not in known:
                hint = did_you_mean(monitor, known)
                msg = f"{field}: '{monitor}' will not exist.{hint} Allowed: {', '.join(known)}."
                raise ConfigError(msg)
