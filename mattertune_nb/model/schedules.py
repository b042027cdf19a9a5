"""Learning-rate schedules, built from their configs."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.optim import lr_scheduler

from mattertune_nb.config.cosine_schedules import (
    CosineAnnealingLRConfig,
    CosineAnnealingWarmRestartsConfig,
    OneCycleLRConfig,
)
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.schedule_kinds import (
    ConstantLRConfig,
    ExponentialConfig,
    LinearLRConfig,
    MultiStepLRConfig,
    ReduceOnPlateauConfig,
    Schedule,
    StepLRConfig,
)
from mattertune_nb.config.schedules import LRSchedulerConfig, schedule_interval
from mattertune_nb.model.stretching import (
    OPEN,
    Sequence,
    StretchingCosine,
    StretchingCycle,
    one_cycle,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def create_lr_schedulers(
    schedules: list[LRSchedulerConfig],
    optimizer: torch.optim.Optimizer,
    *,
    n_steps: int | None,
    n_epochs: int | None,
    ends_by_time: bool = False,
) -> list[dict[str, Any]]:
    """Build schedules in the form returned by Lightning's ``configure_optimizers``.

    Parameters
    ----------
    schedules
        Applied one after the other; a :class:`ReduceOnPlateauConfig` acts throughout.
    optimizer
        The optimizer whose learning rate changes.
    n_steps, n_epochs
        Length of the run in optimizer steps and in epochs, ``None`` if open-ended.
    ends_by_time
        Whether an open-ended run has a time limit; see
        :func:`~mattertune_nb.model.stretching.tell_remaining`.

    Raises
    ------
    ConfigError
        A schedule takes its length from a run that has none.
    """
    out: list[dict[str, Any]] = []
    timed = [s for s in schedules if not isinstance(s, ReduceOnPlateauConfig)]
    if timed:
        interval = schedule_interval(timed)
        total = n_steps if interval == "step" else n_epochs
        if total is None and ends_by_time:
            total = OPEN
        out.append({"scheduler": _in_turn(timed, optimizer, total), "interval": interval})
    out.extend(
        {
            "scheduler": lr_scheduler.ReduceLROnPlateau(
                optimizer, **schedule.model_dump(exclude={"name", "monitor"})
            ),
            "monitor": schedule.monitor,
            # Lightning would step it after the end of the epoch has been saved, and a resumed run
            # would miss a step; PlateauSteps does it instead, at the end of each validation
            "frequency": sys.maxsize,
        }
        for schedule in schedules
        if isinstance(schedule, ReduceOnPlateauConfig)
    )
    return out


def _in_turn(
    schedules: list[Any], optimizer: torch.optim.Optimizer, total: int | None
) -> lr_scheduler.LRScheduler:
    """Build schedules that are applied one after the other in a run of `total` intervals."""
    built, milestones, used = [], [], 0
    for schedule in schedules:
        left = None if total is None else max(total - used, 1)
        for build, length in _parts(schedule, left):
            built.append(build(optimizer))
            used += length or 0
            milestones.append(used)
    return built[0] if len(built) == 1 else Sequence(optimizer, built, milestones[:-1])


_BY_TORCH: dict[type[Schedule], type[lr_scheduler.LRScheduler]] = {
    StepLRConfig: lr_scheduler.StepLR,
    MultiStepLRConfig: lr_scheduler.MultiStepLR,
    ExponentialConfig: lr_scheduler.ExponentialLR,
    LinearLRConfig: lr_scheduler.LinearLR,
    ConstantLRConfig: lr_scheduler.ConstantLR,
    CosineAnnealingWarmRestartsConfig: lr_scheduler.CosineAnnealingWarmRestarts,
}
"""Schedules provided by torch, whose arguments have the names of our settings."""


def _parts(
    config: Any, total: int | None
) -> list[tuple[Callable[[torch.optim.Optimizer], Any], int | None]]:
    """Return the parts of a schedule: functions of an optimizer, and the number of intervals of each."""
    match config:
        case CosineAnnealingLRConfig():
            length = _known(config.length(total))
            asked = config.warmup
            warmup = int(asked * length) if asked < 1 else min(int(asked), length - 1)
            cosine = partial(
                StretchingCosine,
                length=max(length - warmup, 1),
                eta_min=config.eta_min,
                ends_with_run=config.T_max is None,
            )
            rise = LinearLRConfig(start_factor=0.01, total_iters=max(warmup, 1))
            return [*(_parts(rise, total) if warmup else []), (cosine, max(length - warmup, 1))]
        case OneCycleLRConfig():
            length = _known(config.length(total))
            shape = one_cycle(config.pct_start, config.div_factor, config.final_div_factor)
            ends_with_run = config.T_max is None
            cycle = partial(
                StretchingCycle, length=length, shape=shape, ends_with_run=ends_with_run
            )
            return [(cycle, length)]
    kind: Any = _BY_TORCH[type(config)]
    settings = config.model_dump(exclude={"name", "interval"})
    return [(partial(kind, **settings), config.length(total))]


def _known(length: int | None) -> int:
    if length is None:
        msg = (
            "Learning-rate schedule: the run has no fixed length; set the schedule's Length "
            "(T_max), Epochs (max_epochs) or Time limit (max_time)."
        )
        raise ConfigError(msg)
    return length
