"""CHGNet's layers computed in parts: the vendor's parameters and results, without wide tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from chgnet.model.functions import GatedMLP
from chgnet.model.layers import AngleUpdate, AtomConv, BondConv
from torch import nn
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Part = tuple[Tensor, Tensor | None]


def work_by_parts(model: Any) -> None:
    """Convert CHGNet's layers to ones with the same parameters and results, without wide tensors.

    The vendor gathers features of atoms, bonds and angles, concatenates them and multiplies by a wide
    matrix. Here the matrix is split: each part is multiplied before gathering, because there are far fewer
    atoms than bonds and fewer bonds than angles. This also avoids the gradients of slices that arise in
    training on forces: tensors of the full width, almost all of them zeros.
    A model with dropout inside its layers keeps the vendor's layers.
    """
    layers = nn.ModuleList([*model.atom_conv_layers, *model.bond_conv_layers, *model.angle_layers])
    modules = list(layers.modules())
    if not any(isinstance(module, nn.Dropout) and module.p for module in modules):
        for module in modules:
            module.__class__ = _OURS.get(type(module), type(module))
    for last in model.angle_layers[-1:]:
        if isinstance(last, AngleUpdate):
            last.__class__ = UnreadAngleUpdate


class PartGatedMLP(GatedMLP):  # type: ignore[misc]
    """The vendor's gated perceptron; core and gate share their first product."""

    @override
    def forward(self, parts: Sequence[Part]) -> Tensor:
        """Return the messages, (M, features).

        Parameters
        ----------
        parts
            The parts that the vendor would concatenate: features, and the row of them that each message uses,
            (M,); without rows, each message uses its own.
        """
        core, gate = (
            [layer for layer in mlp.layers if not isinstance(layer, nn.Dropout)]
            for mlp in (self.mlp_core, self.mlp_gate)
        )
        weights = torch.split(
            torch.cat([core[0].weight, gate[0].weight]),
            [features.shape[1] for features, _ in parts],
            dim=1,
        )
        total = torch.cat([core[0].bias, gate[0].bias])
        for (features, rows), weight in zip(parts, weights, strict=True):
            part = F.linear(features, weight)
            total = total + (part if rows is None else part.index_select(0, rows))
        x, y = total.chunk(2, dim=1)
        for layer in core[1:]:
            x = layer(x)
        for layer in gate[1:]:
            y = layer(y)
        if self.norm is not None:
            x, y = self.bn1(x), self.bn2(y)
        gated: Tensor = self.activation(x) * self.sigmoid(y)
        return gated


class PartAtomConv(AtomConv):  # type: ignore[misc]
    """The vendor's atom update, with the same arguments.

    Features of atoms (N, F), of bonds (undirected edges, F), weights like them, edges (E, 2), and the
    undirected edge of each, (E,).
    """

    @override
    def forward(
        self,
        atom_feas: Tensor,
        bond_feas: Tensor,
        bond_weights: Tensor,
        atom_graph: Tensor,
        directed2undirected: Tensor,
    ) -> Tensor:
        centre, neighbor = atom_graph.unbind(1)
        messages = self.twoBody_atom(
            [(atom_feas, centre), (bond_feas, directed2undirected), (atom_feas, neighbor)]
        )
        messages = messages * bond_weights.index_select(0, directed2undirected)
        change = self.mlp_out(_summed(messages, centre, atom_feas))
        return _updated(atom_feas, change, self.atom_norm)


class PartBondConv(BondConv):  # type: ignore[misc]
    """The vendor's bond update, with the same arguments.

    Features of angles (A, F), and atom, first and second bond of each angle, (A, 3); the others as there.
    """

    @override
    def forward(
        self,
        atom_feas: Tensor,
        bond_feas: Tensor,
        bond_weights: Tensor,
        angle_feas: Tensor,
        bond_graph: Tensor,
    ) -> Tensor:
        first, second = bond_graph[:, 1], bond_graph[:, 2]
        messages = self.twoBody_bond(_of_angles(atom_feas, bond_feas, angle_feas, bond_graph))
        messages = messages * bond_weights.index_select(0, first)
        messages = messages * bond_weights.index_select(0, second)
        change = self.mlp_out(_summed(messages, first, bond_feas))
        return _updated(bond_feas, change, self.bond_norm)


class PartAngleUpdate(AngleUpdate):  # type: ignore[misc]
    """The vendor's angle update, with the same arguments."""

    @override
    def forward(
        self, atom_feas: Tensor, bond_feas: Tensor, angle_feas: Tensor, bond_graph: Tensor
    ) -> Tensor:
        change = self.twoBody_bond(_of_angles(atom_feas, bond_feas, angle_feas, bond_graph))
        return _updated(angle_feas, change, self.angle_norm)


class UnreadAngleUpdate(AngleUpdate):  # type: ignore[misc]
    """The last angle update, which the vendor computes although nothing uses it."""

    @override
    def forward(
        self, atom_feas: Tensor, bond_feas: Tensor, angle_feas: Tensor, bond_graph: Tensor
    ) -> Tensor:
        return angle_feas


_OURS: dict[type, type] = {
    GatedMLP: PartGatedMLP,
    AtomConv: PartAtomConv,
    BondConv: PartBondConv,
    AngleUpdate: PartAngleUpdate,
}


def _of_angles(
    atom_feas: Tensor, bond_feas: Tensor, angle_feas: Tensor, bond_graph: Tensor
) -> list[Part]:
    """Return the parts of an angle's message, in the order of the vendor's matrix."""
    centre, first, second = bond_graph.unbind(1)
    return [(bond_feas, first), (bond_feas, second), (angle_feas, None), (atom_feas, centre)]


def _summed(messages: Tensor, owners: Tensor, features: Tensor) -> Tensor:
    """Return the sum of the messages that belong to each row of `features`."""
    return messages.new_zeros(len(features), messages.shape[1]).index_add(0, owners, messages)


def _updated(features: Tensor, change: Tensor, norm: nn.Module | None) -> Tensor:
    """Return the features after an update, as at the end of each of the vendor's layers."""
    new = change + features
    return new if norm is None else norm(new)
