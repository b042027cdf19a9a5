"""Callbacks that a model provides itself, so that its numbers are the same under any Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.model.baseline import ZeroShotBaseline
from mattertune_nb.model.hooks import (
    FiniteLoss,
    FitTurn,
    PlateauSteps,
    ResumeLoader,
    ValidationMetrics,
)
from mattertune_nb.model.predictions import OrderedPredictions
from mattertune_nb.model.refit import ReferenceRefit
from mattertune_nb.model.tools import LightningTools

if TYPE_CHECKING:
    from lightning.pytorch import Callback, Trainer

_KINDS: tuple[type[Callback], ...] = (
    ZeroShotBaseline,
    ReferenceRefit,
    ValidationMetrics,
    PlateauSteps,
    ResumeLoader,
    FiniteLoss,
    OrderedPredictions,
    LightningTools,
    FitTurn,
)


def own_callbacks(trainer: Trainer) -> list[Callback]:
    """Return those a Trainer does not have yet, because Lightning asks again for each fit and test."""
    there = {type(callback) for callback in trainer.callbacks}  # type: ignore[attr-defined]
    return [kind() for kind in _KINDS if kind not in there]
