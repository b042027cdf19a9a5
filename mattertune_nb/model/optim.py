"""The optimizer, built from its config, and the length of its run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import ConfigError

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
    """Build the optimizer over those of `parameters` that are trainable.

    Parameters
    ----------
    config
        Its settings.
    parameters
        ``module.parameters()``, or ``module.named_parameters()`` if some have their own learning rate.
    factors
        Factor of each parameter's learning rate, by name; 1 for the others.

    Raises
    ------
    ConfigError
        All of them are frozen, or a pattern of ``lr_factors`` matches none.
    """
    trained = [p for p in parameters if (p[1] if isinstance(p, tuple) else p).requires_grad]
    if not trained:
        msg = (
            "There is nothing to train: all parameters are frozen. If this is due to Lightning's "
            "BackboneFinetuning: energies, forces and stresses come from the backbone itself, so freeze a "
            "part of it with model.freeze instead."
        )
        raise ConfigError(msg)
    return config.create_optimizer(trained, factors or {})


def run_length(trainer: Trainer) -> tuple[int | None, int | None]:
    """Return the length of a Trainer's run in optimizer steps and in epochs, ``None`` if open-ended."""
    steps = trainer.estimated_stepping_batches
    if math.isinf(steps) or steps < 0:
        return None, None
    # Lightning looks at the data only if it counts epochs
    trainer.fit_loop.setup_data()
    n_batches = trainer.num_training_batches
    per_epoch = max(math.ceil(n_batches / trainer.accumulate_grad_batches), 1)
    return int(steps), math.ceil(steps / per_epoch)
