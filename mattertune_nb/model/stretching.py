"""torch's schedules, adapted to end with the run, whether it is extended or ended by its time limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, SequentialLR
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

OPEN = 10**9
"""Length, in intervals, of a schedule that only the run's time limit will end."""


class Stretching:
    """Shared behaviour of schedules that end with the run; a base class alongside one of torch's.

    A run resumed to train longer stretches them: torch's own would load their old length, and let the rate
    rise again after it. A run that its time limit will end shortens them; see :func:`tell_remaining`.
    """

    T_max: int
    eta_min: float
    ends_with_run: bool
    optimizer: torch.optim.Optimizer
    base_lrs: list[Any]
    last_epoch: int
    remaining: float | None = None
    progress: float | None = None

    def height(self, share: float) -> float:
        """Return the rate at a fraction of the schedule, on a scale from 0 (`eta_min`) to 1 (full rate)."""
        raise NotImplementedError

    def get_lr(self) -> list[Any]:
        """Return the rates of the next interval."""
        if self.remaining is None or self.last_epoch == 0:
            rates: list[Any] = super().get_lr()  # type: ignore[misc]
            return rates
        done = self.last_epoch - 1
        left = min(self.remaining, max(self.T_max - self.last_epoch, 0)) + 1
        if self.progress is None:
            self.progress = done / (done + left)
            self.move(self.share(done), self.progress)
        before = self.progress
        self.progress += (1 - before) / left
        self.move(before, self.progress)
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the schedule, without the time left."""
        passing = ("remaining", "ends_with_run", "shape")
        state: dict[str, Any] = super().state_dict()  # type: ignore[misc]
        return {k: v for k, v in state.items() if k not in passing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at the same interval, with the length of this schedule."""
        length = self.T_max
        super().load_state_dict(state_dict)  # type: ignore[misc]
        before = self.progress
        if before is None:
            before = self.share(self.last_epoch)
        # a resumed run has a new time limit
        self.T_max, self.progress = length, None
        changed = state_dict["T_max"] != length or state_dict.get("progress") is not None
        if self.last_epoch > 0 and changed:
            self.move(before, self.share(self.last_epoch))

    def share(self, intervals: int) -> float:
        """Return the fraction of the schedule that a number of intervals makes up."""
        return min(intervals / self.T_max, 1.0)

    def move(self, before: float, after: float) -> None:
        """Move the rates from one fraction of the schedule to another, keeping reductions on a plateau."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            at_full = self.height(before) * (base - self.eta_min)
            kept = (group["lr"] - self.eta_min) / at_full if at_full > 0 else 1.0
            group["lr"] = self.eta_min + kept * self.height(after) * (base - self.eta_min)


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


class StretchingCosine(Stretching, CosineAnnealingLR):
    """torch's cosine; see :class:`Stretching`.

    Parameters
    ----------
    optimizer
        The optimizer whose rates fall.
    length
        In intervals.
    eta_min
        Rate at the end.
    ends_with_run
        Whether the length is that of the run rather than the schedule's own.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        length: int,
        eta_min: float,
        *,
        ends_with_run: bool = False,
    ) -> None:
        self.ends_with_run = ends_with_run
        self.remaining = self.progress = None
        super().__init__(optimizer, T_max=length, eta_min=eta_min)

    @override
    def height(self, share: float) -> float:
        return _half_cosine(share)


class _Shaped(LRScheduler):
    """A schedule without a closed form: the rates of each interval follow from those of the previous one."""

    @override
    def get_lr(self) -> list[Any]:
        schedule: Any = self
        if self.last_epoch == 0:
            return [base * schedule.height(0.0) for base in self.base_lrs]
        schedule.move(schedule.share(self.last_epoch - 1), schedule.share(self.last_epoch))
        return [group["lr"] for group in self.optimizer.param_groups]


class StretchingCycle(Stretching, _Shaped):
    """A schedule of any shape; see :class:`Stretching`.

    Parameters
    ----------
    optimizer
        The optimizer whose rates change.
    length
        In intervals; afterwards the rates stay constant.
    shape
        Factor of the full rate as a function of the fraction of the schedule, above 0.
    ends_with_run
        Whether the length is that of the run rather than the schedule's own.
    """

    eta_min = 0.0

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        length: int,
        shape: Callable[[float], float],
        *,
        ends_with_run: bool = False,
    ) -> None:
        self.shape = shape
        self.ends_with_run = ends_with_run
        self.T_max = length
        self.remaining = self.progress = None
        super().__init__(optimizer)

    @override
    def height(self, share: float) -> float:
        return self.shape(share)


class Sequence(SequentialLR):
    """torch's sequence of schedules, the last of which ends with the run even after a resume."""

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # the state of a cosine alone, if the run was too short for any warm-up
        if "T_max" in state_dict:
            before = [scheduler.state_dict() for scheduler in self._schedulers[:-1]]
            place = {key: state_dict[key] for key in ("last_epoch", "_last_lr")}
            parts = {"_schedulers": [*before, state_dict], "_milestones": [0] * len(before)}
            state_dict = self.state_dict() | place | parts
        # a warm-up keeps its original length; the next schedule starts that much earlier
        starts = zip(state_dict["_milestones"], self._milestones, strict=False)
        for scheduler, (loaded, own) in zip(self._schedulers[1:], starts, strict=False):
            if isinstance(scheduler, Stretching):
                scheduler.T_max = max(scheduler.T_max + own - loaded, 1)
        super().load_state_dict(state_dict)


def one_cycle(
    pct_start: float, div_factor: float, final_div_factor: float
) -> Callable[[float], float]:
    """Return the shape of torch's ``OneCycleLR``: up along half a cosine, then down further along another.

    Parameters
    ----------
    pct_start
        Fraction of the schedule at which the full rate is reached.
    div_factor
        Full rate divided by the initial rate.
    final_div_factor
        Initial rate divided by the final rate.
    """
    start, end = 1 / div_factor, 1 / (div_factor * final_div_factor)

    def height(share: float) -> float:
        if share < pct_start:
            return start + (1 - start) * (1 - _half_cosine(share / pct_start))
        return end + (1 - end) * _half_cosine((share - pct_start) / (1 - pct_start))

    return height


def tell_remaining(scheduler: Any, intervals: float) -> None:
    """Tell a schedule that ends with the run how much of it the time limit leaves.

    Parameters
    ----------
    scheduler
        Any of torch's; one with its own length is left unchanged.
    intervals
        Number of steps or epochs, as the schedule counts them, left after the current one.
    """
    for part in getattr(scheduler, "_schedulers", [scheduler]):
        if getattr(part, "ends_with_run", False):
            part.remaining = intervals
