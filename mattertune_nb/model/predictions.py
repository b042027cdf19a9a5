"""Batched predictions, one structure at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import Property, PropertyName


def split_predictions(
    predictions: dict[str, Tensor], batch: GraphBatch, properties: Mapping[PropertyName, Property]
) -> list[dict[str, Any]]:
    """Cut batched predictions into one dict a structure.

    Parameters
    ----------
    predictions
        By name, as :meth:`FinetuneModuleBase.forward` returns them.
    batch
        The structures.
    properties
        What is said of each name.

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
        prop = properties[name]
        array = values.detach().double().cpu()
        parts = torch.split(array, n_atoms) if prop.of_atoms else array
        for result, part, has_meaning in zip(
            out, parts, periodic if prop.needs_periodicity else always, strict=True
        ):
            if has_meaning:
                result[name] = float(part) if prop.kind == "structure" else part.numpy()
    return out
