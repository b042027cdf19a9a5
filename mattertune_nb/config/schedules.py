"""Learning-rate schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.errors import about
from mattertune_nb.config.stretching import stretching_cosine

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class _Schedule(StrictConfig):
    """What all schedules share."""

    def length(self, total: int | None) -> int | None:
        """Return after how many intervals the next schedule of a sequence takes over.

        Parameters
        ----------
        total
            Intervals left in the run; ``None`` where the run has no fixed length.
        """
        return None

    def parts(self, total: int | None) -> list[Any]:
        """Return the plain schedules that this one is made of, in their order.

        Parameters
        ----------
        total
            As in :meth:`length`.
        """
        return [self]

    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """Build torch's scheduler of the same name for an `optimizer`."""
        from torch.optim import lr_scheduler

        name = type(self).__name__.removesuffix("Config")
        kind = getattr(lr_scheduler, name if name.endswith("LR") else f"{name}LR")
        scheduler: LRScheduler = kind(optimizer, **self.model_dump(exclude={"name", "interval"}))
        return scheduler


class _ScheduleConfig(_Schedule):
    """What the schedules that count epochs by default share."""

    interval: Literal["epoch", "step"] = setting(
        "epoch",
        "What the schedule counts: epochs, or optimizer steps.",
        label="Counted in",
        options={"epoch": "epochs", "step": "optimizer steps"},
    )


class StepLRConfig(_ScheduleConfig):
    """Multiply the rate by `gamma` every `step_size` intervals."""

    name: Literal["step"] = setting(
        "step", "Kind of schedule.", label="Kind of schedule", options={"step": "steps down"}
    )
    step_size: int = setting(
        10, "Intervals between two reductions.", label="Length of a step", basic=True, ge=1
    )
    gamma: float = setting(
        0.5, "Factor of each reduction.", label="Factor of each step", basic=True, gt=0
    )


class MultiStepLRConfig(_ScheduleConfig):
    """Multiply the rate by `gamma` at each milestone."""

    name: Literal["multi_step"] = setting(
        "multi_step",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"multi_step": "steps down at milestones"},
    )
    milestones: list[Annotated[int, Field(ge=1)]] = setting(
        ...,
        "Intervals at which the rate is reduced, ascending.",
        label="Milestones",
        basic=True,
        min_length=1,
    )
    gamma: float = setting(
        0.1, "Factor of each reduction.", label="Factor at each milestone", basic=True, gt=0
    )

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if sorted(self.milestones) != self.milestones:
            text = f"Milestones must ascend, e.g. {sorted(self.milestones)}; got {self.milestones}"
            raise about(text, "milestones")
        return self


class ExponentialConfig(_ScheduleConfig):
    """Multiply the rate by `gamma` every interval."""

    name: Literal["exponential"] = setting(
        "exponential",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"exponential": "exponential decay"},
    )
    gamma: float = setting(
        0.95, "Factor of each interval.", label="Factor of each interval", basic=True, gt=0
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
        "val/total_loss", "Metric that is watched.", label="Watched metric", basic=True
    )
    mode: Literal["min", "max"] = setting(
        "min",
        "Whether the metric should fall or rise.",
        label="Better is",
        options={"min": "smaller", "max": "larger"},
    )
    factor: float = setting(
        0.5, "Factor of each reduction.", label="Factor of each reduction", basic=True, gt=0, lt=1
    )
    patience: int = setting(
        10,
        "Validations without improvement before a reduction.",
        label="Patience",
        basic=True,
        ge=0,
    )
    threshold: float = setting(
        1e-4, "Smallest relative change that counts.", label="Smallest relative change", ge=0
    )
    cooldown: int = setting(
        0, "Validations to wait after a reduction.", label="Wait after a reduction", ge=0
    )
    min_lr: float = setting(
        0.0, "Lower bound of the learning rate.", label="Lowest learning rate", ge=0
    )

    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> ReduceLROnPlateau:
        """Build :class:`torch.optim.lr_scheduler.ReduceLROnPlateau` for an `optimizer`."""
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        return ReduceLROnPlateau(optimizer, **self.model_dump(exclude={"name", "monitor"}))


class CosineAnnealingLRConfig(_Schedule):
    """Fall along half a cosine from the full rate to `eta_min`, after an optional warm-up."""

    name: Literal["cosine"] = setting(
        "cosine", "Kind of schedule.", label="Kind of schedule", options={"cosine": "cosine decay"}
    )
    interval: Literal["epoch", "step"] | None = setting(
        None,
        "What the schedule counts; not set: optimizer steps, in a list whatever the others do.",
        label="Counted in",
        options={"epoch": "epochs", "step": "optimizer steps"},
    )
    T_max: int | None = setting(
        None, "Length in intervals, warm-up included; not set: the whole run.", label="Length", ge=1
    )
    eta_min: float = setting(0.0, "Learning rate at the end.", label="Final learning rate", ge=0)
    warmup: float = setting(
        0.0,
        "Linear warm-up from 1 % of the rate: a fraction of the length (< 1) or a number of "
        "intervals. Raise it where the first steps make the loss jump.",
        label="Warm-up",
        basic=True,
        ge=0,
    )

    @override
    def length(self, total: int | None) -> int | None:
        return self.T_max or total

    @override
    def parts(self, total: int | None) -> list[Any]:
        """Return the warm-up, where there is one, and the cosine, with its length.

        Raises
        ------
        ValueError
            Where neither `T_max` nor the run gives a length.
        """
        length = self.length(total)
        if length is None:
            msg = (
                "Learning-rate schedule: the run has no fixed length; set the schedule's Length "
                "(T_max) or Epochs (max_epochs)."
            )
            raise ValueError(msg)
        warmup = int(self.warmup * length) if self.warmup < 1 else min(int(self.warmup), length - 1)
        after = max(length - warmup, 1)
        cosine = (
            _ToTheEnd(after, self.eta_min)
            if self.T_max is None
            else self.model_copy(update={"T_max": after, "warmup": 0.0})
        )
        rise = [LinearLRConfig(start_factor=0.01, total_iters=warmup)] if warmup else []
        return [*rise, cosine]

    @override
    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """Build a cosine for an `optimizer`, without a warm-up; needs `T_max`."""
        assert self.T_max is not None, "parts() gives the length"
        return stretching_cosine(optimizer, self.T_max, self.eta_min)


@dataclass(frozen=True)
class _ToTheEnd:
    """A cosine whose length, in intervals, is that of the run."""

    T_max: int
    eta_min: float

    def length(self, total: int | None) -> int | None:
        return self.T_max

    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        return stretching_cosine(optimizer, self.T_max, self.eta_min, ends_with_run=True)


class LinearLRConfig(_ScheduleConfig):
    """Change the rate linearly from `start_factor` to `end_factor` of its value; a warm-up."""

    name: Literal["linear"] = setting(
        "linear",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"linear": "linear, a warm-up"},
    )
    start_factor: float = setting(
        1 / 3, "Factor at the start.", label="Factor at the start", basic=True, gt=0, le=1
    )
    end_factor: float = setting(
        1.0, "Factor at the end.", label="Factor at the end", basic=True, ge=0, le=1
    )
    total_iters: int = setting(5, "Length in intervals.", label="Length", basic=True, ge=1)

    @override
    def length(self, total: int | None) -> int | None:
        return self.total_iters


class ConstantLRConfig(_ScheduleConfig):
    """Hold the rate at `factor` of its value for `total_iters` intervals."""

    name: Literal["constant"] = setting(
        "constant",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"constant": "held at a fraction"},
    )
    factor: float = setting(1 / 3, "Factor while it lasts.", label="Factor", basic=True, gt=0, le=1)
    total_iters: int = setting(5, "Length in intervals.", label="Length", basic=True, ge=1)

    @override
    def length(self, total: int | None) -> int | None:
        return self.total_iters


LRSchedulerConfig = Annotated[
    CosineAnnealingLRConfig
    | StepLRConfig
    | MultiStepLRConfig
    | ExponentialConfig
    | ReduceOnPlateauConfig
    | LinearLRConfig
    | ConstantLRConfig,
    Field(discriminator="name"),
]


def schedule_interval(schedules: list[Any]) -> Literal["epoch", "step"]:
    """Return what the schedules count together: steps, unless one of them counts epochs."""
    intervals = {getattr(s, "interval", None) for s in schedules}
    return "epoch" if "epoch" in intervals else "step"


def check_sequence(schedules: list[Any]) -> None:
    """Refuse a sequence that torch could not play one after the other.

    Raises
    ------
    ValueError
        Names the position of the schedule that does not fit.
    """
    timed = [s for s in schedules if not isinstance(s, ReduceOnPlateauConfig)]
    if len(schedules) - len(timed) > 1:
        msg = "one schedule that waits for a plateau is enough"
        raise ValueError(msg)
    if len({s.interval for s in timed} - {None}) > 1:
        msg = "the schedules of a list must count the same interval, all epochs or all steps"
        raise ValueError(msg)
    for i, schedule in enumerate(timed[:-1]):
        if schedule.length(None) is None:
            msg = (
                f"number {i + 1} ({schedule.name}) has no end and can only come last; linear, "
                "constant, and cosine with a Length (T_max) have one"
            )
            raise ValueError(msg)
