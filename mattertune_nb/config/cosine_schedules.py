"""Learning-rate schedules along cosines: decay over the whole run, one cycle, warm restarts."""

from __future__ import annotations

from typing import Literal

from typing_extensions import override

from mattertune_nb.config.base import setting
from mattertune_nb.config.schedule_kinds import CountingScheduleConfig, Schedule


class _WholeRunScheduleConfig(Schedule):
    """What the schedules share that are as long as the run unless told otherwise."""

    interval: Literal["epoch", "step"] | None = setting(
        None,
        "What the schedule counts; not set: optimizer steps, or in a list the same as the others. "
        "Set it to give lengths in epochs.",
        label="Counted in",
        options={"epoch": "epochs", "step": "optimizer steps"},
    )
    T_max: int | None = setting(
        None, "Length in intervals, warm-up included; not set: the whole run.", label="Length", ge=1
    )

    @override
    def length(self, total: int | None) -> int | None:
        return self.T_max or total


class CosineAnnealingLRConfig(_WholeRunScheduleConfig):
    """Fall along half a cosine from the full rate to `eta_min`, after an optional warm-up."""

    name: Literal["cosine"] = setting(
        "cosine", "Kind of schedule.", label="Kind of schedule", options={"cosine": "cosine decay"}
    )
    eta_min: float = setting(
        0.0,
        "Learning rate at the end. Raise it above 0 if the run may be trained longer.",
        label="Final learning rate",
        ge=0,
    )
    warmup: float = setting(
        0.0,
        "Linear warm-up from 1 % of the rate: a fraction of the length (< 1) or a number of "
        "intervals. Raise it if the first steps make the loss jump.",
        label="Warm-up",
        basic=True,
        ge=0,
    )


class OneCycleLRConfig(_WholeRunScheduleConfig):
    """Rise from a small rate to the optimizer's and fall far below it, as torch's ``OneCycleLR``.

    The optimizer's momentum is not changed.
    """

    name: Literal["one_cycle"] = setting(
        "one_cycle",
        "Kind of schedule.",
        label="Kind of schedule",
        options={"one_cycle": "one cycle"},
    )
    pct_start: float = setting(
        0.3,
        "Fraction of the length in which the rate rises.",
        label="Rising part",
        basic=True,
        gt=0,
        lt=1,
    )
    div_factor: float = setting(
        25.0, "Full rate divided by the initial rate.", label="Full rate over first rate", ge=1
    )
    final_div_factor: float = setting(
        1e4, "Initial rate divided by the final rate.", label="First rate over last", ge=1
    )


class CosineAnnealingWarmRestartsConfig(CountingScheduleConfig):
    """Fall along half a cosine again and again, each time starting from the full rate."""

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
        "Each cosine is longer than the previous one by this factor; with T_0 the run's length over "
        "1, 3, 7, … and 2 here the run ends at the end of one.",
        label="Growth of the length",
        basic=True,
        ge=1,
    )
    eta_min: float = setting(
        0.0, "Learning rate before each restart.", label="Lowest learning rate", ge=0
    )
