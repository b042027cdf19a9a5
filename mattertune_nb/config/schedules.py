"""Learning-rate schedules, single or in sequence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mattertune_nb.config.cosine_schedules import (
    CosineAnnealingLRConfig,
    CosineAnnealingWarmRestartsConfig,
    OneCycleLRConfig,
)
from mattertune_nb.config.schedule_kinds import (
    ConstantLRConfig,
    ExponentialConfig,
    LinearLRConfig,
    MultiStepLRConfig,
    ReduceOnPlateauConfig,
    StepLRConfig,
)

LRSchedulerConfig = Annotated[
    CosineAnnealingLRConfig
    | StepLRConfig
    | MultiStepLRConfig
    | ExponentialConfig
    | ReduceOnPlateauConfig
    | OneCycleLRConfig
    | CosineAnnealingWarmRestartsConfig
    | LinearLRConfig
    | ConstantLRConfig,
    Field(discriminator="name"),
]


def schedule_interval(schedules: list[Any]) -> Literal["epoch", "step"]:
    """Return what the schedules of a sequence count: steps, unless one of them counts epochs."""
    intervals = {getattr(s, "interval", None) for s in schedules}
    return "epoch" if "epoch" in intervals else "step"


def check_sequence(schedules: list[Any]) -> None:
    """Refuse a sequence that torch cannot run.

    Raises
    ------
    ValueError
        Names the position of the schedule that does not fit.
    """
    timed = [s for s in schedules if not isinstance(s, ReduceOnPlateauConfig)]
    if len(schedules) - len(timed) > 1:
        msg = "one schedule that waits for a plateau is enough"
        raise ValueError(msg)
    if len(schedules) > len(timed) and any(
        isinstance(s, CosineAnnealingWarmRestartsConfig) for s in timed
    ):
        msg = "warm restarts reset the rate at each interval, undoing any reduction on a plateau"
        raise ValueError(msg)
    if len({s.interval for s in timed} - {None}) > 1:
        msg = "the schedules of a list must count the same interval, all epochs or all steps"
        raise ValueError(msg)
    for i, schedule in enumerate(timed[:-1]):
        if schedule.length(None) is None:
            msg = (
                f"number {i + 1} ({schedule.name}) has no end and can only come last; linear, constant, "
                f"and cosine or one cycle with a Length (T_max) have one"
            )
            raise ValueError(msg)
