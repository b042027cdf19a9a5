"""Learning-rate schedules along cosines: over the whole run, up and down, and again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from mattertune_nb.config.base import setting
from mattertune_nb.config.schedule_kinds import CountingScheduleConfig, LinearLRConfig, Schedule
from mattertune_nb.config.stretching import one_cycle, stretching_cosine, stretching_cycle

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler


class CosineAnnealingLRConfig(Schedule):
    """Fall along half a cosine from the full rate to `eta_min`, after an optional warm-up."""

    name: Literal["cosine"] = setting(
        "cosine", "Kind of schedule.", label="Kind of schedule", options={"cosine": "cosine decay"}
    )
    interval: Literal["epoch", "step"] | None = setting(
        None,
        "What the schedule counts; not set: optimizer steps, in a list whatever the others do. "
        "Set it to give lengths in epochs.",
        label="Counted in",
        options={"epoch": "epochs", "step": "optimizer steps"},
    )
    T_max: int | None = setting(
        None, "Length in intervals, warm-up included; not set: the whole run.", label="Length", ge=1
    )
    eta_min: float = setting(
        0.0,
        "Learning rate at the end. Raise it above 0 where the run is to be trained longer.",
        label="Final learning rate",
        ge=0,
    )
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
        length = _known(self.length(total))
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


class OneCycleLRConfig(Schedule):
    """Rise from a small rate to the optimizer's and fall far below, as torch's ``OneCycleLR``.

    The optimizer's momentum is left alone.
    """

    name: Literal["one_cycle"] = setting(
        "one_cycle",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"one_cycle": "one cycle"},
    )
    interval: Literal["epoch", "step"] | None = setting(
        None,
        "What the schedule counts; not set: optimizer steps, in a list whatever the others do. "
        "Set it to give lengths in epochs.",
        label="Counted in",
        options={"epoch": "epochs", "step": "optimizer steps"},
    )
    T_max: int | None = setting(
        None, "Length in intervals; not set: the whole run.", label="Length", ge=1
    )
    pct_start: float = setting(
        0.3,
        "Part of the length in which the rate rises.",
        label="Rising part",
        basic=True,
        gt=0,
        lt=1,
    )
    div_factor: float = setting(
        25.0, "The full rate divided by that at the start.", label="Full rate over first rate", ge=1
    )
    final_div_factor: float = setting(
        1e4, "The rate at the start divided by that at the end.", label="First rate over last", ge=1
    )

    @override
    def length(self, total: int | None) -> int | None:
        return self.T_max or total

    @override
    def parts(self, total: int | None) -> list[Any]:
        """Return the schedule with its length.

        Raises
        ------
        ValueError
            Where neither `T_max` nor the run gives a length.
        """
        return [_Cycle(self, _known(self.length(total)))]

    @override
    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """Build the schedule for an `optimizer`; needs `T_max`."""
        return _Cycle(self, _known(self.T_max)).create_scheduler(optimizer)


@dataclass(frozen=True)
class _Cycle:
    """One cycle of a length in intervals."""

    config: OneCycleLRConfig
    T_max: int

    def length(self, total: int | None) -> int | None:
        return self.T_max

    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        config = self.config
        shape = one_cycle(config.pct_start, config.div_factor, config.final_div_factor)
        ends_with_run = config.T_max is None
        return stretching_cycle(optimizer, self.T_max, shape, ends_with_run=ends_with_run)


class CosineAnnealingWarmRestartsConfig(CountingScheduleConfig):
    """Fall along half a cosine again and again, each time from the full rate."""

    name: Literal["warm_restarts"] = setting(
        "warm_restarts",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"warm_restarts": "cosines with warm restarts"},
    )
    T_0: int = setting(
        10, "Intervals until the first restart.", label="Length of the first", basic=True, ge=1
    )
    T_mult: int = setting(
        1,
        "Each cosine is so many times as long as the one before; with T_0 of a run's length over "
        "1, 3, 7, … and 2 here the run ends at the end of one.",
        label="Growth of the length",
        basic=True,
        ge=1,
    )
    eta_min: float = setting(
        0.0, "Learning rate before each restart.", label="Lowest learning rate", ge=0
    )

    @override
    def create_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        """Build torch's ``CosineAnnealingWarmRestarts`` for an `optimizer`."""
        from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

        return CosineAnnealingWarmRestarts(
            optimizer, T_0=self.T_0, T_mult=self.T_mult, eta_min=self.eta_min
        )


def _known(length: int | None) -> int:
    if length is None:
        msg = (
            "Learning-rate schedule: the run has no fixed length; set the schedule's Length "
            "(T_max) or Epochs (max_epochs)."
        )
        raise ValueError(msg)
    return length
