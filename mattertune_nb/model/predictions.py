"""Batched predictions, one structure at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch


def split_predictions(predictions: dict[str, Tensor], batch: GraphBatch) -> list[dict[str, Any]]:
    """Cut batched predictions into one dict a structure.

    Returns
    -------
    list
        ``{"energy": float, "forces": (n, 3), "stresses": (6,)}`` in eV, eV/Å and eV/Å³; the stress
        is left out where not all three directions are periodic.
    """
    n_atoms = batch.n_atoms.tolist()
    out: list[dict[str, Any]] = [{} for _ in n_atoms]
    for name, values in predictions.items():
        array = values.detach().double().cpu()
        parts = torch.split(array, n_atoms) if name == "forces" else array
        for result, part in zip(out, parts, strict=True):
            result[name] = float(part) if name == "energy" else part.numpy()
    for result, periodic in zip(out, batch.pbc.all(dim=1).tolist(), strict=True):
        if not periodic:
            result.pop("stresses", None)
    return out
