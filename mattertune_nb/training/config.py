"""The config of a whole run."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mattertune_nb.backbones.registry import AnyBackboneConfig
from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.run import RunConfig
from mattertune_nb.config.task import metric_names
from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.data.splits import DataModuleConfig


class MatterTunerConfig(StrictConfig):
    """Everything that a run needs: what to tune, on what, how, and where its record goes."""

    model: AnyBackboneConfig = setting(..., "Backbone, properties, losses and optimizer.")
    data: DataModuleConfig = setting(..., "Structures with labels, and how they are split.")
    trainer: TrainerConfig = setting(TrainerConfig, "How long, and on what hardware.")
    run: RunConfig = setting(RunConfig, "Name, place and seed of the run.")

    @model_validator(mode="after")
    def _check_monitors(self) -> Self:
        # a monitor outside val/ may come from a user's own callback or subclass
        known = metric_names(self.model.property_names)
        watched = {"trainer.checkpoint.monitor": self.trainer.checkpoint.monitor}
        if self.trainer.early_stopping is not None:
            watched["trainer.early_stopping.monitor"] = self.trainer.early_stopping.monitor
        for schedule in self.model.schedules:
            if schedule.name == "reduce_on_plateau":
                watched["model.lr_scheduler.monitor"] = schedule.monitor
        for field, monitor in watched.items():
            if monitor.startswith("val/") and monitor not in known:
                msg = f"{field}: '{monitor}' will not exist. Allowed: {', '.join(known)}."
                raise ValueError(msg)
        return self
