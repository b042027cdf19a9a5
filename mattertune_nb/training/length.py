"""How many epochs, steps and validations a run has, by Lightning's own rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mattertune_nb.config.trainer import TrainerConfig

_LIGHTNINGS_EPOCHS = 1000
"""Lightning's default if nothing limits the length of a run."""


@dataclass(frozen=True)
class RunLength:
    """What a run does if neither a metric nor time ends it.

    Attributes
    ----------
    train_batches, val_batches
        Batches of an epoch and of a validation, on each process.
    epochs
        Passes over the training set, possibly with a fraction of a last one; ``None``: no end.
    steps, validations
        In total; for one epoch if there is no end.
    validations_per_epoch
        Average number per epoch.
    sanity_batches
        Validation batches tried before training.
    """

    train_batches: int
    val_batches: int
    epochs: float | None
    steps: int
    validations: int
    validations_per_epoch: float
    sanity_batches: int


def length_of_run(config: TrainerConfig, train_batches: int, val_batches: int) -> RunLength:
    """Count what a run will do.

    Parameters
    ----------
    config
        Limits and intervals; ``max_time`` and early stopping are ignored.
    train_batches, val_batches
        Batches that the loaders have, on each process.
    """
    further, fast = config.additional_trainer_kwargs, _trial_batches(config)
    overfit = further.get("overfit_batches")
    limits = (further.get(f"limit_{stage}_batches") for stage in ("train", "val"))
    train, val = (
        _limited(n, fast or overfit or limit)
        for n, limit in zip((train_batches, val_batches), limits, strict=True)
    )
    train = max(train, 1)
    accumulated = config.accumulate_grad_batches
    steps_per_epoch = math.ceil(train / accumulated)
    interval = 1.0 if fast or config.val_check_interval is None else config.val_check_interval
    every_batches = interval if isinstance(interval, int) else max(int(train * interval), 1)
    every_epochs = 1 if fast else config.check_val_every_n_epoch
    a_pass: float = train // every_batches if val else 0
    is_over_epochs = config.check_val_every_n_steps is not None and not fast
    if is_over_epochs and val:
        every_batches = (config.check_val_every_n_steps or 0) * accumulated
        a_pass = train / every_batches

    max_epochs, max_steps = _ends(config)
    sanity = 0 if fast else config.num_sanity_val_steps
    sanity = val if sanity == -1 else min(sanity, val)

    average = a_pass / every_epochs
    if math.isinf(max_epochs) and math.isinf(max_steps):
        return RunLength(train, val, None, steps_per_epoch, int(a_pass), average, sanity)
    steps = int(min(max_epochs * steps_per_epoch, max_steps))
    whole, rest = divmod(steps, steps_per_epoch)
    validations = int(whole // every_epochs * a_pass)
    if is_over_epochs:
        validations = (whole * train + rest * accumulated) // every_batches if val else 0
    elif val and rest and (whole + 1) % every_epochs == 0:
        validations += rest * accumulated // every_batches
    epochs = whole + rest * accumulated / train
    return RunLength(train, val, epochs, steps, validations, average, sanity)


def last_step(config: TrainerConfig, steps_per_epoch: int) -> int | None:
    """Return the step at which epochs or steps end a run, whichever comes first.

    Parameters
    ----------
    config
        Its limits.
    steps_per_epoch
        Optimizer steps per epoch; 0 if not known yet.

    Returns
    -------
        ``None`` if neither ends it, or if epochs of unknown length do.
    """
    max_epochs, max_steps = _ends(config)
    last = min(max_epochs * steps_per_epoch if steps_per_epoch else math.inf, max_steps)
    return None if math.isinf(last) else int(last)


def _ends(config: TrainerConfig) -> tuple[float, float]:
    """Return the epochs and the steps at which a run ends, infinite if they do not end it."""
    if fast := _trial_batches(config):
        return 1, fast
    steps = math.inf if config.max_steps == -1 else config.max_steps
    if config.max_epochs is not None:
        return math.inf if config.max_epochs == -1 else config.max_epochs, steps
    is_ended = config.max_steps != -1 or config.max_time is not None
    return math.inf if is_ended else _LIGHTNINGS_EPOCHS, steps


def _trial_batches(config: TrainerConfig) -> int:
    """Return the number of batches of Lightning's ``fast_dev_run``; 0 if it is off."""
    return int(config.additional_trainer_kwargs.get("fast_dev_run") or 0)


def _limited(n_batches: int, limit: Any) -> int:
    """Return the number of batches that Lightning's number or fraction leaves."""
    if limit is None:
        return n_batches
    return int(n_batches * limit) if isinstance(limit, float) else min(n_batches, int(limit))
