"""Losses of individual properties, with missing labels masked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention

from mattertune_nb.config.task import (
    HuberLossConfig,
    L2MAELossConfig,
    LossConfig,
    MAELossConfig,
    MSELossConfig,
)

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.config.own_properties import PropertyConfig


def compute_loss(config: LossConfig, prediction: Tensor, label: Tensor) -> tuple[Tensor, int]:
    """Return the mean loss over all labels present, and their number.

    Parameters
    ----------
    config
        Kind of loss.
    prediction, label
        Both of shape (n,) or (n, k), in the same unit; a missing label is NaN.

    Returns
    -------
    loss
        Mean over components, or over rows for :class:`L2MAELossConfig`; zero, with a gradient, if there
        are no labels.
    count
        Number of components (rows) in the mean: its weight in an average over several batches.
    """
    present = torch.isfinite(label)
    if isinstance(config, L2MAELossConfig):
        rows = present if label.ndim == 1 else present.all(dim=-1)
        error = (prediction - label)[rows]
        error = error.unsqueeze(-1) if error.ndim == 1 else error
        return _mean(torch.linalg.vector_norm(error, dim=-1), prediction)
    prediction_, label_ = prediction[present], label[present].to(prediction.dtype)
    match config:
        case MAELossConfig():
            values = F.l1_loss(prediction_, label_, reduction="none")
        case MSELossConfig():
            values = F.mse_loss(prediction_, label_, reduction="none")
        case HuberLossConfig():
            values = F.huber_loss(prediction_, label_, reduction="none", delta=config.delta)
    return _mean(values, prediction)


def coefficient(config: PropertyConfig, step: int, final_stage: float, steps: float) -> float:
    """Return the weight of a property's loss at an optimizer step.

    Parameters
    ----------
    config
        Settings of the property.
    step
        Number of optimizer steps done.
    final_stage
        Fraction of the run after which the final weight applies.
    steps
        Length of the run; infinite or -1 if it has no end, and hence no final stage.
    """
    final = config.final_loss_coefficient
    if final is None or not 0 < steps < math.inf or step < final_stage * steps:
        return config.loss_coefficient
    return final


def _mean(values: Tensor, prediction: Tensor) -> tuple[Tensor, int]:
    if values.numel() == 0:
        # a stress without a label may be NaN, if the structure is not periodic
        return prediction.nan_to_num().sum() * 0.0, 0
    return values.mean(), values.numel()
