"""Optimizer and learning-rate schedules, built from their configs."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.schedule_kinds import ReduceOnPlateauConfig
from mattertune_nb.config.schedules import LRSchedulerConfig, schedule_interval
from mattertune_nb.config.stretching import one_after_the_other

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch
    from lightning.pytorch import Trainer

    from mattertune_nb.config.optim import OptimizerConfig


def create_optimizer(
    config: OptimizerConfig,
    parameters: Iterable[torch.nn.Parameter | tuple[str, torch.nn.Parameter]],
    factors: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """Build the optimizer over the trainable ones of `parameters`.

    Parameters
    ----------
    config
        Its settings.
    parameters
        ``module.parameters()``; ``module.named_parameters()`` where some have a rate of their own.
    factors
        What the rate of each parameter is multiplied with, by name; 1 for others.

    Raises
    ------
    ConfigError
        Where all of them are held, or a pattern of ``lr_factors`` fits none.
    """
    trained = [p for p in parameters if (p[1] if isinstance(p, tuple) else p).requires_grad]
    if not trained:
        msg = (
            "There is nothing to train, as all parameters are frozen. Where that is Lightning's "
            "BackboneFinetuning: energies, forces and stresses are the backbone's own, so hold a part of it "
            "with model.freeze instead."
        )
        raise ConfigError(msg)
    return config.create_optimizer(trained, factors or {})


def create_lr_schedulers(
    schedules: list[LRSchedulerConfig],
    optimizer: torch.optim.Optimizer,
    *,
    n_steps: int | None,
    n_epochs: int | None,
) -> list[dict[str, Any]]:
    """Build schedules in the form Lightning's ``configure_optimizers`` returns.

    Parameters
    ----------
    schedules
        Played one after the other; a :class:`ReduceOnPlateauConfig` acts all along.
    optimizer
        The optimizer whose rate changes.
    n_steps, n_epochs
        Length of the run in optimizer steps and in epochs, ``None`` where it is open.

    Raises
    ------
    ConfigError
        Where a schedule takes its length from a run that has none.
    """
    out: list[dict[str, Any]] = []
    timed = [s for s in schedules if not isinstance(s, ReduceOnPlateauConfig)]
    if timed:
        interval = schedule_interval(timed)
        total = n_steps if interval == "step" else n_epochs
        built, milestones, used = [], [], 0
        for schedule in timed:
            left = None if total is None else max(total - used, 1)
            try:
                parts = schedule.parts(left)
            except ValueError as exc:
                raise ConfigError(str(exc)) from exc
            for part in parts:
                built.append(part.create_scheduler(optimizer))
                used += part.length(left) or 0
                milestones.append(used)
        scheduler = built[0]
        if len(built) > 1:
            scheduler = one_after_the_other(optimizer, built, milestones[:-1])
        out.append({"scheduler": scheduler, "interval": interval})
    out.extend(
        {
            "scheduler": schedule.create_scheduler(optimizer),
            "monitor": schedule.monitor,
            # Lightning would step it after the end of the epoch has been saved, so that a resumed
            # run would miss a step: PlateauSteps does it, at the end of each validation
            "frequency": sys.maxsize,
        }
        for schedule in schedules
        if isinstance(schedule, ReduceOnPlateauConfig)
    )
    return out


def run_length(trainer: Trainer) -> tuple[int | None, int | None]:
    """Return the length of a Trainer's run in optimizer steps and in epochs, ``None`` where open."""
    steps = trainer.estimated_stepping_batches
    if math.isinf(steps) or steps < 0:
        return None, None
    # Lightning looks at the data only where it counts epochs
    trainer.fit_loop.setup_data()
    n_batches = trainer.num_training_batches
    per_epoch = max(math.ceil(n_batches / trainer.accumulate_grad_batches), 1)
    return int(steps), math.ceil(steps / per_epoch)
