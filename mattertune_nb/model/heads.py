"""Heads of ours for what a backbone does not predict: numbers of structures and of atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES, Backbone
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, STRESSES, Property
from mattertune_nb.model.normalization import ExactBuffers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.data.datasets import AtomsDataset

_WIDTH = 64
"""Neurons of each of the two hidden layers."""


class PropertyHead(ExactBuffers):
    """A small perceptron on the features of each atom, summed or averaged where it is about the structure.

    What it starts from is the mean of the training labels; its last layer starts at zero.

    Parameters
    ----------
    n_features
        Number of features of an atom.
    prop
        What is predicted.
    """

    mean: Tensor
    spread: Tensor
    fitted: Tensor

    def __init__(self, n_features: int, prop: Property) -> None:
        super().__init__()
        self.prop = prop
        last = nn.Linear(_WIDTH, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.LayerNorm(n_features),
            nn.Linear(n_features, _WIDTH),
            nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.SiLU(),
            last,
        )
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("spread", torch.ones((), dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))

    @override
    def forward(self, features: Tensor, batch: GraphBatch) -> Tensor:
        """Return the property in its unit and in float64: (N,) of atoms, (B,) of structures.

        Parameters
        ----------
        features
            What the backbone has made of each atom, (N, n_features).
        batch
            The structures.
        """
        values: Tensor = self.layers(features).squeeze(-1).double()
        values = self.mean + self.spread * values
        if self.prop.of_atoms:
            return values
        total: Tensor = values.new_zeros(len(batch.n_atoms)).index_add(0, batch.batch, values)
        return total if self.prop.reduction == "sum" else total / batch.n_atoms

    def fit(self, labels: Iterable[tuple[NDArray[np.float64], int]]) -> None:
        """Take mean and spread of labels.

        Parameters
        ----------
        labels
            The label of each structure and its number of atoms.

        Notes
        -----
        Where the numbers of atoms are summed, the mean is that of an atom's share, and the spread that of
        what is left.
        """
        found = [(np.ravel(value), n) for value, n in labels]
        self.fitted.fill_(True)
        if not found:
            return
        values = np.concatenate([value for value, _ in found])
        shares: NDArray[np.float64] = np.ones(len(values))
        if not self.prop.of_atoms and self.prop.reduction == "sum":
            shares = np.array([n for _, n in found], dtype=np.float64)
        mean = float(values @ shares / (shares @ shares))
        spread = float(np.std(values - mean * shares))
        self.mean.fill_(mean)
        self.spread.fill_(spread if spread > 0 else 1.0)


class PropertyHeads(nn.ModuleDict):
    """What a model predicts beside the energy and its gradients, and by what.

    Parameters
    ----------
    config
        Says what is learnt, and what the backbone has heads of its own for.
    backbone
        Gives the features.

    Raises
    ------
    ConfigError
        The backbone has no features and is to learn what it has no head for.
    """

    def __init__(self, config: BackboneConfig, backbone: Backbone) -> None:
        super().__init__()
        self.direct = config.direct
        self.is_energy_trained = any(
            p.name in PROPERTIES and p.name not in self.direct for p in config.learnt
        )
        for prop in config.headed:
            if backbone.n_features is None:
                msg = (
                    f"properties: {backbone.label} gives no features of atoms to learn "
                    f"'{prop.name}' from."
                )
                raise ConfigError(msg)
            # a user's name may be that of one of a module's own methods
            self[f"{_PREFIX}{prop.name}"] = PropertyHead(backbone.n_features, prop)

    def named(self) -> dict[str, PropertyHead]:
        """Return the heads by the names of their properties."""
        return {head.prop.name: head for head in self.values() if isinstance(head, PropertyHead)}

    @property
    def trained(self) -> list[str]:
        """What of the backbone's outputs is trained: the energy, heads of its own, features."""
        energy = [ENERGY.name] if self.is_energy_trained else []
        return [*energy, *self.direct, *([FEATURES] if len(self) else [])]

    def spread(self, name: str) -> Tensor | float:
        """Return what errors are divided by in the loss because of a head, in the property's unit."""
        key = f"{_PREFIX}{name}"
        return cast("PropertyHead", self[key]).spread if key in self else 1.0

    def outputs(
        self, backbone: Backbone, batch: GraphBatch, properties: Collection[str]
    ) -> dict[str, Tensor]:
        """Predict properties with a backbone and its heads, nothing more; the energy is always there."""
        ours = {name: head for name, head in self.named().items() if name in properties}
        theirs = [name for name in self.direct if name in properties]
        out: dict[str, Tensor] = backbone(
            batch,
            forces=FORCES.name in properties,
            stress=STRESSES.name in properties,
            heads=[*theirs, FEATURES] if ours else theirs,
        )
        return out | {name: head(out[FEATURES], batch) for name, head in ours.items()}

    def fit(self, frames: AtomsDataset) -> None:
        """Give each head that has none yet mean and spread of the labels of a training set.

        Every process reads all of the labels and finds the same.
        """
        for name, head in self.named().items():
            if not bool(head.fitted):
                labels = (frames.labels(i, {head.prop: "mask"}) for i in range(len(frames)))
                head.fit(
                    (np.asarray(found[name]), n)
                    for found, n in zip(labels, frames.n_atoms().tolist(), strict=True)
                    if found
                )


_PREFIX = "of_"
