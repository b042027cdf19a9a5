"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from mattertune_nb.config.base import StrictConfig, setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class _OptimizerConfig(StrictConfig):
    """What all optimizers share."""

    lr: float = setting(
        2e-3,
        "Learning rate. Lower it (3e-4) where the untuned model is already good or the loss jumps.",
        gt=0,
    )

    def create_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Build torch's optimizer of the same name over `parameters`."""
        import torch

        kind: type[torch.optim.Optimizer] = getattr(
            torch.optim, type(self).__name__.removesuffix("Config")
        )
        optimizer: torch.optim.Optimizer = kind(parameters, **self.model_dump(exclude={"name"}))
        return optimizer


class AdamConfig(_OptimizerConfig):
    """Adam, :class:`torch.optim.Adam`."""

    name: Literal["adam"] = setting("adam", "Kind of optimizer.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        setting((0.9, 0.999), "Decay of the running means of gradient and squared gradient.")
    )
    eps: float = setting(1e-8, "Added to the denominator for stability.", gt=0)
    weight_decay: float = setting(0.0, "L2 penalty added to the gradient.", ge=0)
    amsgrad: bool = setting(False, "Use the AMSGrad variant.")


class AdamWConfig(_OptimizerConfig):
    """AdamW, :class:`torch.optim.AdamW`; the default."""

    name: Literal["adamw"] = setting("adamw", "Kind of optimizer.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        setting((0.9, 0.999), "Decay of the running means of gradient and squared gradient.")
    )
    eps: float = setting(1e-8, "Added to the denominator for stability.", gt=0)
    weight_decay: float = setting(
        0.01, "Decoupled weight decay; raise it against overfitting.", ge=0
    )
    amsgrad: bool = setting(False, "Use the AMSGrad variant.")


class SGDConfig(_OptimizerConfig):
    """Stochastic gradient descent, :class:`torch.optim.SGD`."""

    name: Literal["sgd"] = setting("sgd", "Kind of optimizer.")
    momentum: float = setting(0.0, "Momentum factor; 0.9 is usual.", ge=0, lt=1)
    weight_decay: float = setting(0.0, "L2 penalty added to the gradient.", ge=0)
    dampening: float = setting(0.0, "Dampening of the momentum.", ge=0)
    nesterov: bool = setting(False, "Nesterov momentum; needs momentum and no dampening.")

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            msg = "nesterov needs momentum > 0 and dampening = 0"
            raise ValueError(msg)
        return self


OptimizerConfig = Annotated[AdamWConfig | AdamConfig | SGDConfig, Field(discriminator="name")]


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
        """Build torch's scheduler of the same name."""
        from torch.optim import lr_scheduler

        name = type(self).__name__.removesuffix("Config")
        kind = getattr(lr_scheduler, name if name.endswith("LR") else f"{name}LR")
        scheduler: LRScheduler = kind(optimizer, **self.model_dump(exclude={"name", "interval"}))
        return scheduler


class _ScheduleConfig(_Schedule):
    """What the schedules that count epochs by default share."""

    interval: Literal["epoch", "step"] = setting(
        "epoch", "What the schedule counts: epochs, or optimizer steps."
    )


class StepLRConfig(_ScheduleConfig):
    """Multiply the rate by `gamma` every `step_size` intervals."""

    name: Literal["step"] = setting("step", "Kind of schedule.")
    step_size: int = setting(10, "Intervals between two reductions.", ge=1)
    gamma: float = setting(0.5, "Factor of each reduction.", gt=0)


class MultiStepLRConfig(_ScheduleConfig):
    """Multiply the rate by `gamma` at each milestone."""

    name: Literal["multi_step"] = setting("multi_step", "Kind of schedule.")
    milestones: list[Annotated[int, Field(ge=1)]] = setting(
        ..., "Intervals at which the rate is reduced, ascending.", min_length=1
    )
    gamma: float = setting(0.1, "Factor of each reduction.", gt=0)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if sorted(self.milestones) != self.milestones:
            msg = "milestones must ascend"
            raise ValueError(msg)
        return self


class ExponentialConfig(_ScheduleConfig):
    """Multiply the rate by `gamma` every interval."""

    name: Literal["exponential"] = setting("exponential", "Kind of schedule.")
    gamma: float = setting(0.95, "Factor of each interval.", gt=0)


class ReduceOnPlateauConfig(StrictConfig):
    """Multiply the rate by `factor` once a validation metric has stopped improving."""

    name: Literal["reduce_on_plateau"] = setting("reduce_on_plateau", "Kind of schedule.")
    monitor: str = setting("val/total_loss", "Metric that is watched.")
    mode: Literal["min", "max"] = setting("min", "Whether the metric should fall or rise.")
    factor: float = setting(0.5, "Factor of each reduction.", gt=0, lt=1)
    patience: int = setting(10, "Validations without improvement before a reduction.", ge=0)
    threshold: float = setting(1e-4, "Smallest relative change that counts.", ge=0)
    cooldown: int = setting(0, "Validations to wait after a reduction.", ge=0)
    min_lr: float = setting(0.0, "Lower bound of the learning rate.", ge=0)

    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> ReduceLROnPlateau:
        """Build :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`."""
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        return ReduceLROnPlateau(optimizer, **self.model_dump(exclude={"name", "monitor"}))


class CosineAnnealingLRConfig(_Schedule):
    """Fall along half a cosine from the full rate to `eta_min`, after an optional warm-up."""

    name: Literal["cosine"] = setting("cosine", "Kind of schedule.")
    interval: Literal["epoch", "step"] | None = setting(
        None,
        "What the schedule counts; not set: optimizer steps, in a list whatever the others do.",
    )
    T_max: int | None = setting(
        None, "Length in intervals, warm-up included; not set: the whole run.", ge=1
    )
    eta_min: float = setting(0.0, "Learning rate at the end.", ge=0)
    warmup: float = setting(
        0.0,
        "Linear warm-up from 1 % of the rate: a fraction of the length (< 1) or a number of "
        "intervals. Raise it where the first steps make the loss jump.",
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
            msg = "lr_scheduler.T_max: the run has no fixed length; set T_max or max_epochs."
            raise ValueError(msg)
        warmup = int(self.warmup * length) if self.warmup < 1 else min(int(self.warmup), length - 1)
        cosine = self.model_copy(update={"T_max": max(length - warmup, 1), "warmup": 0.0})
        rise = [LinearLRConfig(start_factor=0.01, total_iters=warmup)] if warmup else []
        return [*rise, cosine]

    @override
    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """Build :class:`torch.optim.lr_scheduler.CosineAnnealingLR`, without a warm-up; needs `T_max`."""
        assert self.T_max is not None, "parts() gives the length"
        return _stretching_cosine(optimizer, self.T_max, self.eta_min)


class LinearLRConfig(_ScheduleConfig):
    """Change the rate linearly from `start_factor` to `end_factor` of its value; a warm-up."""

    name: Literal["linear"] = setting("linear", "Kind of schedule.")
    start_factor: float = setting(1 / 3, "Factor at the start.", gt=0, le=1)
    end_factor: float = setting(1.0, "Factor at the end.", ge=0, le=1)
    total_iters: int = setting(5, "Length in intervals.", ge=1)

    @override
    def length(self, total: int | None) -> int | None:
        return self.total_iters


class ConstantLRConfig(_ScheduleConfig):
    """Hold the rate at `factor` of its value for `total_iters` intervals."""

    name: Literal["constant"] = setting("constant", "Kind of schedule.")
    factor: float = setting(1 / 3, "Factor while it lasts.", gt=0, le=1)
    total_iters: int = setting(5, "Length in intervals.", ge=1)

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


def _stretching_cosine(
    optimizer: torch.optim.Optimizer, length: int, eta_min: float
) -> LRScheduler:
    """Return torch's schedule, which a run that is resumed to train longer stretches.

    Torch's own would load its old length, and at the end of it let the rate rise again.
    """
    from torch.optim.lr_scheduler import CosineAnnealingLR

    class StretchingCosine(CosineAnnealingLR):
        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            length = self.T_max
            super().load_state_dict(state_dict)
            old, self.T_max = self._height(), length
            if self.last_epoch > 0 and state_dict["T_max"] != length:
                for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                    at_full = old * (base - eta_min)
                    # what a plateau has taken off stays off
                    left = (group["lr"] - eta_min) / at_full if at_full > 0 else 1.0
                    group["lr"] = eta_min + left * self._height() * (base - eta_min)

        def _height(self) -> float:
            return (1 + math.cos(math.pi * min(self.last_epoch / self.T_max, 1))) / 2

    return StretchingCosine(optimizer, T_max=length, eta_min=eta_min)


def one_after_the_other(
    optimizer: torch.optim.Optimizer, schedulers: list[LRScheduler], milestones: list[int]
) -> LRScheduler:
    """Return torch's sequence of schedules, whose cosine ends with the run also after a resume.

    Parameters
    ----------
    schedulers, milestones
        At ``milestones[i]`` the schedule ``schedulers[i + 1]`` takes over.
    """
    from torch.optim.lr_scheduler import CosineAnnealingLR, SequentialLR

    class Sequence(SequentialLR):
        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            # a cosine's alone, where the run was so short that its warm-up came to nothing
            if "T_max" in state_dict:
                before = [scheduler.state_dict() for scheduler in self._schedulers[:-1]]
                place = {key: state_dict[key] for key in ("last_epoch", "_last_lr")}
                parts = {"_schedulers": [*before, state_dict], "_milestones": [0] * len(before)}
                state_dict = self.state_dict() | place | parts
            # a warm-up keeps the length that it began with; what follows it begins that much earlier
            starts = zip(state_dict["_milestones"], self._milestones, strict=False)
            for scheduler, (loaded, own) in zip(self._schedulers[1:], starts, strict=False):
                if isinstance(scheduler, CosineAnnealingLR):
                    scheduler.T_max = max(scheduler.T_max + own - loaded, 1)
            super().load_state_dict(state_dict)

    return Sequence(optimizer, schedulers, milestones)


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
        msg = "one ReduceOnPlateauConfig is enough"
        raise ValueError(msg)
    if len({s.interval for s in timed} - {None}) > 1:
        msg = "the schedules of a list must count the same interval, all epochs or all steps"
        raise ValueError(msg)
    for i, schedule in enumerate(timed[:-1]):
        if schedule.length(None) is None:
            msg = (
                f"number {i}, {type(schedule).__name__}, has no end and can only come last; "
                "LinearLRConfig, ConstantLRConfig and CosineAnnealingLRConfig(T_max=...) have one"
            )
            raise ValueError(msg)
