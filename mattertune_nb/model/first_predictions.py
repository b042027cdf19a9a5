"""Predictions for some validation frames before the first step, made while measuring the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.model.predictions import split_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import Property, PropertyName

MOST = 120
"""Maximum number of frames whose predictions are kept; if there are more, evenly spread ones."""


class FirstPredictions:
    """Predictions for at most 120 frames of a data set.

    Parameters
    ----------
    n_frames
        Number of frames in the data set.

    Attributes
    ----------
    found
        By position in the data set: ``{"energy": float, "forces": (n, 3), "stresses": (6,)}``, in eV units.
    """

    def __init__(self, n_frames: int) -> None:
        self._wanted = frozenset(evenly_spread(n_frames, MOST).tolist())
        self.found: dict[int, dict[str, Any]] = {}

    def add(
        self,
        predictions: dict[str, Tensor],
        batch: GraphBatch,
        properties: Mapping[PropertyName, Property],
    ) -> None:
        """Keep the wanted predictions of a batch."""
        rows = batch.index.tolist()
        if self._wanted.isdisjoint(rows):
            return
        parts = split_predictions(predictions, batch, properties)
        self.found |= {
            row: part for row, part in zip(rows, parts, strict=True) if row in self._wanted
        }
