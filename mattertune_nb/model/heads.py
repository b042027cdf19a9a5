"""Our own heads for what a backbone does not predict: scalars and vectors of structures and atoms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from typing_extensions import override

from mattertune_nb.backbones.backbone import FEATURES, Backbone
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import (
    ATOM_ENERGIES,
    ENERGY,
    FORCES,
    STRESSES,
    Property,
)
from mattertune_nb.model.normalization import ExactBuffers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.data.dataset import AtomsDataset

_WIDTH = 64
"""Neurons of each of the two hidden layers."""

_N_RADIAL = 8
"""Number of Gaussians that encode the distance between two atoms."""


class PropertyHead(ExactBuffers, ABC):
    """Predicts a property from the features of the atoms, in units of the spread of the training labels.

    Parameters
    ----------
    prop
        The property to predict.
    """

    mean: Tensor  # (), of the training labels
    spread: Tensor  # (), of the training labels
    fitted: Tensor  # ()

    def __init__(self, prop: Property) -> None:
        super().__init__()
        self.prop = prop
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("spread", torch.ones((), dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))

    @abstractmethod
    def of_atoms(self, features: Tensor, batch: GraphBatch) -> Tensor:
        """Return each atom's contribution, (N,) or (N, 3), before mean and spread are applied."""

    @override
    def forward(self, features: Tensor, batch: GraphBatch) -> Tensor:
        """Return the property in its unit, in float64: (N,) for atoms, (B,) or (B, 3) for structures.

        Parameters
        ----------
        features
            The backbone's features of each atom, (N, n_features).
        batch
            The structures.
        """
        values = self.mean + self.spread * self.of_atoms(features, batch).double()
        if self.prop.of_atoms:
            return values
        n_atoms = batch.n_atoms
        total: Tensor = values.new_zeros(len(n_atoms), *values.shape[1:])
        total = total.index_add(0, batch.batch, values)
        if self.prop.reduction == "sum":
            return total
        return total / n_atoms.view(-1, *[1] * (total.ndim - 1))

    def fit(self, labels: Iterable[tuple[NDArray[np.float64], int]]) -> None:
        """Set mean and spread from labels.

        Parameters
        ----------
        labels
            The label of each structure and its number of atoms.

        Notes
        -----
        If contributions of atoms are summed, the mean is that of an atom's contribution, and the spread that
        of the remainder. Vectors have no mean, because no direction is distinguished.
        """
        found = [(np.ravel(value), n) for value, n in labels]
        self.fitted.fill_(True)
        if not found:
            return
        values = np.concatenate([value for value, _ in found])
        if self.prop.kind == "vector":
            mean, spread = 0.0, float(np.sqrt(np.square(values).mean()))
        else:
            shares: NDArray[np.float64] = np.ones(len(values))
            if not self.prop.of_atoms and self.prop.reduction == "sum":
                shares = np.array([n for _, n in found], dtype=np.float64)
            mean = float(values @ shares / (shares @ shares))
            spread = float(np.std(values - mean * shares))
        self.mean.fill_(mean)
        self.spread.fill_(spread if spread > 0 else 1.0)


class ScalarHead(PropertyHead):
    """A small perceptron on the features of each atom, whose last layer starts at zero.

    Parameters
    ----------
    n_features
        Number of features of an atom.
    prop
        The property to predict: a scalar per atom or per structure.
    """

    def __init__(self, n_features: int, prop: Property) -> None:
        super().__init__(prop)
        last = _zero(nn.Linear(_WIDTH, 1))
        self.layers = nn.Sequential(
            nn.LayerNorm(n_features),
            nn.Linear(n_features, _WIDTH),
            nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.SiLU(),
            last,
        )

    @override
    def of_atoms(self, features: Tensor, batch: GraphBatch) -> Tensor:
        values: Tensor = self.layers(features).squeeze(-1)
        return values


class VectorHead(PropertyHead):
    """Vectors from each atom to its neighbours, weighted by a perceptron on both and on their distance.

    The features are scalars, so the result rotates with the structure, and goes smoothly to zero at the
    cutoff. Two equivalent atoms facing each other contribute nothing, as symmetry demands.

    Parameters
    ----------
    n_features
        Number of features of an atom.
    prop
        The property to predict: a vector per structure.
    cutoff
        Cutoff of the backbone's neighbour list, in Å.
    """

    centres: Tensor  # (radial functions,), Å

    def __init__(self, n_features: int, prop: Property, cutoff: float) -> None:
        super().__init__(prop)
        self.cutoff = cutoff
        self.norm = nn.LayerNorm(n_features)
        self.centre, self.neighbor = (nn.Linear(n_features, _WIDTH) for _ in range(2))
        self.distance = nn.Linear(_N_RADIAL, _WIDTH, bias=False)
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU(), _zero(nn.Linear(_WIDTH, 1))
        )
        centres = torch.linspace(0.0, cutoff, _N_RADIAL)
        self.register_buffer("centres", centres, persistent=False)

    @override
    def of_atoms(self, features: Tensor, batch: GraphBatch) -> Tensor:
        centre, neighbor = batch.edge_index
        edges = batch.edge_vectors(batch.positions, batch.cell).to(features.dtype)
        lengths = torch.linalg.vector_norm(edges, dim=1, keepdim=True)
        width = self.cutoff / _N_RADIAL
        radial = torch.exp(-(((lengths - self.centres) / width) ** 2) / 2)
        normed = self.norm(features)
        hidden = self.centre(normed)[centre] + self.neighbor(normed)[neighbor]
        fade = (torch.cos(torch.pi * (lengths / self.cutoff).clamp(max=1.0)) + 1) / 2
        weights = self.layers(hidden + self.distance(radial)) * fade
        vectors = features.new_zeros(len(features), 3)
        return vectors.index_add(0, centre, weights * edges / lengths)


def _zero(layer: nn.Linear) -> nn.Linear:
    """Return a layer whose output is zero until it is trained."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class PropertyHeads(nn.ModuleDict):
    """Heads for the properties a model predicts besides the energy and its gradients.

    Parameters
    ----------
    config
        Specifies the properties to train, and which of them the backbone has its own heads for.
    backbone
        Provides the features.

    Raises
    ------
    ConfigError
        The backbone provides no features, and is to be trained on a property it has no head for.
    """

    def __init__(self, config: BackboneConfig, backbone: Backbone) -> None:
        super().__init__()
        self.direct = config.direct
        self.is_energy_trained = any(
            p.name == ENERGY.name or (p.is_gradient and p.name not in self.direct)
            for p in config.learnt
        )
        for prop in config.headed:
            if backbone.n_features is None:
                msg = (
                    f"properties: {backbone.label} gives no features of atoms to learn "
                    f"'{prop.name}' from."
                )
                raise ConfigError(msg)
            # a user's property may be named like a method of the module
            self[f"{_PREFIX}{prop.name}"] = (
                VectorHead(backbone.n_features, prop, backbone.cutoff)
                if prop.kind == "vector"
                else ScalarHead(backbone.n_features, prop)
            )

    def named(self) -> dict[str, PropertyHead]:
        """Return the heads by property name."""
        return {head.prop.name: head for head in self.values() if isinstance(head, PropertyHead)}

    @property
    def trained(self) -> list[str]:
        """Outputs of the backbone that are trained: the energy, its own heads, features."""
        energy = [ENERGY.name] if self.is_energy_trained else []
        return [*energy, *self.direct, *([FEATURES] if len(self) else [])]

    def spread(self, name: str) -> Tensor | float:
        """Return the scale by which a head's errors are divided in the loss, in the property's unit."""
        key = f"{_PREFIX}{name}"
        return cast("PropertyHead", self[key]).spread if key in self else 1.0

    def outputs(
        self, backbone: Backbone, batch: GraphBatch, properties: Collection[str]
    ) -> dict[str, Tensor]:
        """Predict only the given properties with a backbone and its heads; the energy is always included."""
        return self._read(backbone(batch, **self._asked(properties)), batch, properties)

    def outputs_of_each(
        self, backbone: Backbone, batch: GraphBatch, properties: Collection[str]
    ) -> list[dict[str, Tensor]]:
        """Predict properties as :meth:`outputs` does, with each copy of a backbone's last block."""
        found = backbone.each(batch, **self._asked(properties))
        return [self._read(out, batch, properties) for out in found]

    def _asked(self, properties: Collection[str]) -> dict[str, Any]:
        """Return the arguments of the backbone's prediction."""
        theirs = [name for name in (*self.direct, ATOM_ENERGIES.name) if name in properties]
        has_ours = not self.named().keys().isdisjoint(properties)
        return {
            "forces": FORCES.name in properties,
            "stress": STRESSES.name in properties,
            "heads": [*theirs, FEATURES] if has_ours else theirs,
        }

    def _read(
        self, out: dict[str, Tensor], batch: GraphBatch, properties: Collection[str]
    ) -> dict[str, Tensor]:
        ours = {name: head for name, head in self.named().items() if name in properties}
        return out | {name: head(out[FEATURES], batch) for name, head in ours.items()}

    def begin_as(self, other: PropertyHeads) -> None:
        """Copy mean and spread of the training labels from another model's heads for the same properties."""
        own = self.named()
        for name, head in other.named().items():
            for key, value in head.named_buffers(recurse=False):
                own[name].get_buffer(key).copy_(value)

    def fit(self, frames: AtomsDataset) -> None:
        """Set mean and spread from a training set's labels, for each head that has none yet.

        Every process reads all labels and obtains the same values.
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
