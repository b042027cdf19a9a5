"""Learning-rate schedules that fall in steps or stay constant, and the base class of all schedules."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import about


class Schedule(StrictConfig):
    """What all schedules share."""

    def length(self, total: int | None) -> int | None:
        """Return the number of intervals after which the next schedule of a sequence takes over.

        Parameters
        ----------
        total
            Intervals left in the run; ``None`` if the run has no fixed length.
        """
        return None


class CountingScheduleConfig(Schedule):
    """What the schedules that count epochs by default share."""

    interval: Literal["epoch", "step"] = setting(
        "epoch",
        "What the schedule counts: epochs, or optimizer steps. Steps are smoother if a run has few epochs.",
        label="Counted in",
        options={"epoch": "epochs", "step": "optimizer steps"},
    )


class StepLRConfig(CountingScheduleConfig):
    """Multiply the rate by `gamma` every `step_size` intervals."""

    name: Literal["step"] = setting(
        "step", "Kind of schedule.", label="Kind of schedule", options={"step": "steps down"}
    )
    step_size: int = setting(
        10,
        "Intervals between reductions. A third of the run gives two of them.",
        label="Length of a step",
        basic=True,
        ge=1,
    )
    gamma: float = setting(
        0.5,
        "Factor of each reduction. 0.1 to 0.5 is usual; closer to 1 with more reductions.",
        label="Factor of each step",
        basic=True,
        gt=0,
    )


class MultiStepLRConfig(CountingScheduleConfig):
    """Multiply the rate by `gamma` at each milestone."""

    name: Literal["multi_step"] = setting(
        "multi_step",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"multi_step": "steps down at milestones"},
    )
    milestones: list[Annotated[int, Field(ge=1)]] = setting(
        ...,
        "Intervals at which the rate is reduced, ascending. Place them where the loss has "
        "levelled off.",
        label="Milestones",
        basic=True,
        min_length=1,
    )
    gamma: float = setting(
        0.1,
        "Factor of each reduction. 0.1 to 0.5 is usual; closer to 1 with more reductions.",
        label="Factor at each milestone",
        basic=True,
        gt=0,
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if sorted(self.milestones) != self.milestones:
            text = f"Milestones must ascend, e.g. {sorted(self.milestones)}; got {self.milestones}"
            raise about(text, "milestones")
        return self


class ExponentialConfig(CountingScheduleConfig):
    """Multiply the rate by `gamma` every interval."""

    name: Literal["exponential"] = setting(
        "exponential",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"exponential": "exponential decay"},
    )
    gamma: float = setting(
        0.95,
        "Factor of each interval. Closer to 1 for a longer run.",
        label="Factor of each interval",
        basic=True,
        gt=0,
    )


class ReduceOnPlateauConfig(StrictConfig):
    """Multiply the rate by `factor` once a validation metric has stopped improving."""

    name: Literal["reduce_on_plateau"] = setting(
        "reduce_on_plateau",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"reduce_on_plateau": "reduce on a plateau"},
    )
    monitor: str = setting(
        "val/total_loss",
        "Metric that is watched, e.g. val/total_loss. Choose the one that decides on the best "
        "weights.",
        label="Watched metric",
        basic=True,
    )
    mode: Literal["min", "max"] = setting(
        "min",
        "Whether the metric should fall or rise. Errors and losses fall; change it for a score "
        "such as R².",
        label="Better is",
        options={"min": "smaller", "max": "larger"},
    )
    factor: float = setting(
        0.5,
        "Factor of each reduction. 0.1 to 0.5 is usual; closer to 1 with more reductions.",
        label="Factor of each reduction",
        basic=True,
        gt=0,
        lt=1,
    )
    patience: int = setting(
        10,
        "Validations without improvement before a reduction. Raise it if the curve is noisy.",
        label="Patience",
        basic=True,
        ge=0,
    )
    threshold: float = setting(
        1e-4,
        "Smallest relative change that counts. Raise it to reduce the rate sooner.",
        label="Smallest relative change",
        ge=0,
    )
    cooldown: int = setting(
        0,
        "Validations to wait after a reduction. Raise it if reductions follow each other too fast.",
        label="Wait after a reduction",
        ge=0,
    )
    min_lr: float = setting(
        0.0,
        "Lower bound of the learning rate. Set it if training is to continue at a steady pace.",
        label="Lowest learning rate",
        ge=0,
    )


class _BoundedScheduleConfig(CountingScheduleConfig):
    """What the schedules share that end after some intervals, however long the run is."""

    total_iters: int = setting(
        5,
        "Length in intervals. A few percent of the run is usual.",
        label="Length",
        basic=True,
        ge=1,
    )

    @override
    def length(self, total: int | None) -> int | None:
        return self.total_iters


class LinearLRConfig(_BoundedScheduleConfig):
    """Change the rate linearly from `start_factor` to `end_factor` of its value; a warm-up."""

    name: Literal["linear"] = setting(
        "linear",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"linear": "linear, a warm-up"},
    )
    start_factor: float = setting(
        1 / 3,
        "Factor at the start. Lower it for a warm-up if the first steps make the loss jump.",
        label="Factor at the start",
        basic=True,
        gt=0,
        le=1,
    )
    end_factor: float = setting(
        1.0,
        "Factor at the end. Below 1 the rate falls, e.g. to end a run gently.",
        label="Factor at the end",
        basic=True,
        ge=0,
        le=1,
    )


class ConstantLRConfig(_BoundedScheduleConfig):
    """Keep the rate at `factor` of its value for `total_iters` intervals."""

    name: Literal["constant"] = setting(
        "constant",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"constant": "constant at a fraction"},
    )
    factor: float = setting(
        1 / 3,
        "Factor during this schedule. Lower it if the first steps make the loss jump.",
        label="Factor",
        basic=True,
        gt=0,
        le=1,
    )
