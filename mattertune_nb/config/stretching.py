"""torch's schedules, made to end with the run: one that trains longer, or that its time ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler


def stretching_cosine(
    optimizer: torch.optim.Optimizer, length: int, eta_min: float, *, ends_with_run: bool = False
) -> LRScheduler:
    """Return torch's schedule, which ends with the run.

    A run that is resumed to train longer stretches it: torch's own would load its old length, and at the end
    of it let the rate rise again. A run that its time will end shortens it, see :func:`tell_remaining`.

    Parameters
    ----------
    length
        In intervals.
    ends_with_run
        Whether the length is that of the run, and not one of its own.
    """
    from torch.optim.lr_scheduler import CosineAnnealingLR

    class StretchingCosine(CosineAnnealingLR):
        def __init__(self) -> None:
            self.ends_with_run = ends_with_run
            self.remaining: float | None = None
            self.progress: float | None = None
            super().__init__(optimizer, T_max=length, eta_min=eta_min)

        def get_lr(self) -> list[float | torch.Tensor]:
            if self.remaining is None or self.last_epoch == 0:
                return super().get_lr()
            done = self.last_epoch - 1
            left = min(self.remaining, max(self.T_max - self.last_epoch, 0)) + 1
            if self.progress is None:
                self.progress = done / (done + left)
                self._move(self._share(done), self.progress)
            before = self.progress
            self.progress += (1 - before) / left
            self._move(before, self.progress)
            return [group["lr"] for group in self.optimizer.param_groups]

        def state_dict(self) -> dict[str, Any]:
            passing = ("remaining", "ends_with_run")
            return {k: v for k, v in super().state_dict().items() if k not in passing}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            length = self.T_max
            super().load_state_dict(state_dict)
            before = self.progress
            if before is None:
                before = self._share(self.last_epoch)
            # the time that a resumed run has is new
            self.T_max, self.progress = length, None
            changed = state_dict["T_max"] != length or state_dict.get("progress") is not None
            if self.last_epoch > 0 and changed:
                self._move(before, self._share(self.last_epoch))

        def _share(self, intervals: int) -> float:
            return min(intervals / self.T_max, 1.0)

        def _move(self, before: float, after: float) -> None:
            """Take the rates from one share of the schedule to another; what a plateau took stays off."""
            for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                at_full = _height(before) * (base - eta_min)
                kept = (group["lr"] - eta_min) / at_full if at_full > 0 else 1.0
                group["lr"] = eta_min + kept * _height(after) * (base - eta_min)

    return StretchingCosine()


def tell_remaining(scheduler: Any, intervals: float) -> None:
    """Tell a schedule that ends with the run how much of it the time leaves.

    Parameters
    ----------
    scheduler
        Any of torch's; one with a length of its own does not listen.
    intervals
        Steps or epochs, as the schedule counts them, that are left after the one under way.
    """
    for part in getattr(scheduler, "_schedulers", [scheduler]):
        if getattr(part, "ends_with_run", False):
            part.remaining = intervals


def _height(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


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
