"""Backbones that answer with more than the energy in one pass."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from typing_extensions import override

from mattertune_nb.backbones.backbone import Backbone
from mattertune_nb.config.properties import ENERGY

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


class MultiHeadBackbone(Backbone):
    """A backbone whose energy is one of its outputs; an adapter implements :meth:`outputs`."""

    @override
    def energy(self, batch: GraphBatch, edge_vectors: Tensor) -> Tensor:
        return self.outputs(batch, edge_vectors, ())[ENERGY.name]

    @override
    @abstractmethod
    def outputs(
        self, batch: GraphBatch, edge_vectors: Tensor, heads: Collection[str]
    ) -> dict[str, Tensor]: ...
