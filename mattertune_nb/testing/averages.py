"""Averages of a backbone's weights: if the weights do not change, the average is the model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from mattertune_nb.config.callbacks import EMAConfig
from mattertune_nb.model.lightning_private import average_of
from mattertune_nb.testing.comparison import Prediction, differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ase import Atoms

    from mattertune_nb.model.module import FinetuneModuleBase

_DECAYS = (0.3, 0.9, 0.97, 0.9999)
"""With some, an average of integers is rounded to the original values; with others it is not."""


def averages_alike(
    model: FinetuneModuleBase,
    structures: Mapping[str, Atoms],
    predictions: Mapping[str, Prediction],
) -> Iterator[str]:
    """Yield a line for each buffer and prediction that averaging the model changes."""
    buffers = dict(model.named_buffers())
    for decay in _DECAYS:
        callback = EMAConfig(decay=decay).create_callback()
        callback.setup(cast("Any", None), model, "fit")
        average = average_of(callback)
        assert average is not None
        for _ in range(3):
            average.update_parameters(model)
        averaged = cast("FinetuneModuleBase", average.module)
        for name, buffer in averaged.named_buffers():
            if not torch.equal(buffer, buffers[name]):
                yield f"decay {decay}: '{name}' is not what it was"
        for name, atoms in structures.items():
            (again,) = averaged.property_predictor().predict([atoms])
            yield from differences(f"decay {decay}, {name}", again, predictions[name])
