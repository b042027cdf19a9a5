"""Errors on each of several named validation sets, in addition to those over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.data.named_sets import NamedSets
from mattertune_nb.model.loader import as_list, graph_dataset
from mattertune_nb.model.metrics import PropertyMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.config.properties import Property


class NamedErrors:
    """Metrics for each set, if the loaders are a dict or a loader's data set consists of named sets.

    Parameters
    ----------
    properties
        Predicted properties.
    """

    def __init__(self, properties: Sequence[Property]) -> None:
        self._properties = properties
        self._metrics: dict[str, PropertyMetrics] = {}
        self._names: list[list[str]] = []
        self._sets: list[NDArray[np.int64]] = []

    def begin(self, loaders: Any, device: torch.device) -> None:
        """Discard everything added, and take the names of a Trainer's loaders.

        Parameters
        ----------
        loaders
            A loader, or a list or dict of loaders.
        device
            Device of the model.
        """
        keys = list(loaders) if isinstance(loaders, dict) else [None] * len(as_list(loaders))
        found = [_names_of(loader, key) for loader, key in zip(as_list(loaders), keys, strict=True)]
        self._names = [names for names, _ in found]
        self._sets = [sets for _, sets in found]
        names = dict.fromkeys(name for part in self._names for name in part)
        self._metrics = {
            name: PropertyMetrics(self._properties, {p.name: 1.0 for p in self._properties}).to(
                device
            )
            for name in names
        }

    def add(self, predictions: dict[str, Tensor], labels: dict[str, Tensor], loader: int) -> None:
        """Add a batch of one of the loaders; see :meth:`PropertyMetrics.update_errors`."""
        if loader >= len(self._names) or not self._names[loader]:
            return
        names, n_atoms = self._names[loader], labels["num_atoms"]
        sets = torch.zeros_like(n_atoms)
        if len(names) > 1:
            sets = torch.from_numpy(self._sets[loader][labels["index"].cpu().numpy()]).to(sets)
        for k in np.unique(sets.cpu().numpy()).tolist():
            of_structure = sets == k
            of_atom = of_structure.repeat_interleave(n_atoms)

            def part(
                values: Tensor, here: Tensor = of_structure, there: Tensor = of_atom
            ) -> Tensor:
                return values[here] if len(values) == len(here) else values[there]

            self._metrics[names[k]].update_errors(
                {name: part(value) for name, value in predictions.items()},
                {name: part(value) for name, value in labels.items()},
                n_atoms[of_structure],
            )

    def compute(self) -> dict[str, Tensor]:
        """Return the errors of each set, e.g. ``bulk/forces_mae``."""
        return {
            f"{name}/{metric}": value
            for name, metrics in self._metrics.items()
            for metric, value in metrics.compute().items()
        }


def _names_of(loader: Any, key: str | None) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of a loader's sets, and the set to which each of its structures belongs."""
    nothing = np.zeros(0, dtype=np.int64)
    if key is not None:
        return [str(key)], nothing
    try:
        frames = graph_dataset(loader).frames
    except TrainingError:
        return [], nothing  # a user's own loader
    return (frames.names, frames.sets()) if isinstance(frames, NamedSets) else ([], nothing)
