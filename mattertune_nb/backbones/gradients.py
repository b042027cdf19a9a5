"""Forces and stress as gradients of the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


def with_gradients(
    compute: Callable[[GraphBatch, Tensor], list[dict[str, Tensor]]],
    batch: GraphBatch,
    dtype: torch.dtype,
    *,
    forces: bool,
    stress: bool,
    keep_graph: bool,
) -> list[dict[str, Tensor]]:
    """Return the results of a function of positions and cell, with gradients of each energy among them.

    Parameters
    ----------
    compute
        Returns outputs with an energy, given the batch with positions and cells that the gradients follow,
        and its edge vectors in Å, (E, 3); one dict, or one for each copy of a model's last block.
    batch
        The structures.
    dtype
        Format of edge vectors and gradients.
    forces, stress
        Whether to compute these gradients.
    keep_graph
        Whether the gradients are trained on.
    """
    positions, cell = batch.positions, batch.cell
    leaves = []
    if forces:
        positions = positions.detach().requires_grad_()
        leaves.append(positions)
    moved = positions
    if stress:
        strain = torch.zeros_like(cell, requires_grad=True)
        leaves.append(strain)
        symmetric = (strain + strain.mT) / 2
        moved = positions + (positions.unsqueeze(1) @ symmetric[batch.batch]).squeeze(1)
        cell = cell + cell @ symmetric
    # differences are taken in float64: far from the origin, float32 would lose digits
    edge_vectors = batch.edge_vectors(moved, cell).to(dtype)
    found = compute(batch.at(moved, cell), edge_vectors)
    if not leaves:
        return found
    for k, out in enumerate(found):
        gradients = torch.autograd.grad(
            # an isolated atom's energy does not depend on positions
            out[ENERGY.name].sum() + 0.0 * edge_vectors.sum(),
            leaves,
            create_graph=keep_graph,
            retain_graph=keep_graph or k + 1 < len(found),
            materialize_grads=True,
        )
        if forces:
            out[FORCES.name] = -gradients[0].to(dtype)
        if stress:
            out[STRESSES.name] = _voigt(gradients[-1], batch).to(dtype)
    return found


def _voigt(gradient: Tensor, batch: GraphBatch) -> Tensor:
    """Return (1/V) dE/dε in Voigt order xx, yy, zz, yz, xz, xy, (B, 6)."""
    periodic = batch.pbc.all(dim=1)
    # dividing by NaN would put it into the gradients of the whole batch
    volume = torch.where(periodic, torch.linalg.det(batch.cell).abs(), 1.0)
    stress = gradient / volume[:, None, None]
    voigt = torch.stack(
        [stress[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], dim=1
    )
    return torch.where(periodic[:, None], voigt, torch.nan)
