"""torch's schedules, made to stretch where a run is resumed to train longer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler


def stretching_cosine(optimizer: torch.optim.Optimizer, length: int, eta_min: float) -> LRScheduler:
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
