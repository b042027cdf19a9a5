"""The loss of a property in a module: divided by its scale, and weighted for the current stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.model.lightning_private import trainer_of
from mattertune_nb.model.losses import coefficient, compute_loss

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.config.own_properties import PropertyConfig
    from mattertune_nb.model.potential import Potential


def property_loss(
    module: Potential,
    config: PropertyConfig,
    prediction: Tensor,
    label: Tensor,
    num_atoms: Tensor,
) -> tuple[Tensor, int]:
    """Return the unweighted loss of a property, and the number of labels it covers.

    Parameters
    ----------
    module
        The model, which provides the scales.
    config
        Settings of the property.
    prediction, label
        In the unit of the labels; a missing label is NaN.
    num_atoms
        Number of atoms of each structure, (B,).
    """
    name = config.about().name
    if config.is_scaled_per_atom:
        prediction, label = prediction / num_atoms, label / num_atoms
    scale = (module.normalization.scale(name) * module.heads.spread(name)).to(prediction.dtype)
    return compute_loss(config.loss, prediction / scale, label.to(prediction.dtype) / scale)


def loss_weight(module: Potential, config: PropertyConfig) -> float:
    """Return the weight of a property's loss; in training, that of the current stage.

    Parameters
    ----------
    module
        The model, whose Trainer knows the progress of the fit.
    config
        Settings of the property.
    """
    trainer = trainer_of(module)
    if trainer is None or not trainer.training or config.final_loss_coefficient is None:
        return config.loss_coefficient
    steps = min(trainer.estimated_stepping_batches, module.steps_in_time)
    return coefficient(config, trainer.global_step, module.hparams.final_stage, steps)
