"""Batched predictions, one structure at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mattertune_nb.config.properties import as_property

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
    periodic, always = batch.pbc.all(dim=1).tolist(), [True] * len(n_atoms)
    for name, values in predictions.items():
        prop = as_property(name)
        array = values.detach().double().cpu()
        parts = torch.split(array, n_atoms) if prop.of_atoms else array
        for result, part, has_meaning in zip(
            out, parts, periodic if prop.needs_periodicity else always, strict=True
        ):
            if has_meaning:
                result[name] = float(part) if prop.kind == "structure" else part.numpy()
    return out
