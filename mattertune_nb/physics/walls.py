"""The energies of isolated pairs of atoms as functions of distance."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers

from mattertune_nb.physics.holes import CLOSEST, STEP, Wall, distances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mattertune_nb.model.module import FinetuneModuleBase

_BATCH = 500


def walls(model: FinetuneModuleBase, elements: Iterable[str]) -> list[Wall]:
    """Compute the energies of each pair of elements from 0.3 Å to the cutoff.

    Parameters
    ----------
    model
        The potential; not changed.
    elements
        Symbols.

    Returns
    -------
    list
        One for each pair, including pairs of the same element.
    """
    backbone = model.backbone
    n = int((backbone.cutoff - CLOSEST) / STEP) + 1
    pairs = list(combinations_with_replacement(sorted(elements, key=atomic_numbers.get), 2))
    graphs = [
        backbone.graph(Atoms(pair, [(0, 0, 0), (r, 0, 0)])) for pair in pairs for r in distances(n)
    ]
    energies: list[NDArray[np.float64]] = []
    with model.predicting(), torch.no_grad():
        for start in range(0, len(graphs), _BATCH):
            batch = backbone.collate(graphs[start : start + _BATCH]).to(model.device)
            found = model.backbone(batch, forces=False)["energy"]
            energies.append(found.detach().double().cpu().numpy())
    curves = np.concatenate(energies).reshape(len(pairs), n) if energies else np.empty((0, n))
    return [Wall(pair, curve - curve[-1]) for pair, curve in zip(pairs, curves, strict=True)]
