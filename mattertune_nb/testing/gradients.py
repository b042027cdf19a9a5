"""Gradients of a backbone's weights: one for each, finite, even if atoms have no neighbours."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from mattertune_nb.config.properties import ENERGY, STRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ase import Atoms
    from torch import Tensor

    from mattertune_nb.backbones.backbone import Backbone


def another(backbone: Backbone, name: str) -> float | str:
    """Return a value other than the default for an input of structures."""
    default = backbone.frame_inputs[name]
    if isinstance(default, str):
        return next(str(word) for word in backbone.input_ranges[name] if word != default)
    return default + 1


def gradients_reach(
    backbone: Backbone, direct: Sequence[str], structures: Sequence[Atoms]
) -> Iterator[str]:
    """Yield a line for each parameter that no loss reaches, or whose gradient is not finite."""
    backbone = copy.deepcopy(backbone).train()
    trainable = {n: p for n, p in backbone.named_parameters() if p.requires_grad}
    structures = [atoms.copy() for atoms in structures]
    for atoms in structures:
        # with a default of zero, the weights of an input may have no gradient
        atoms.info = {name: another(backbone, name) for name in backbone.frame_inputs}
    batch = backbone.collate([backbone.graph(atoms) for atoms in structures])
    unreached = set(trainable)
    with torch.enable_grad():
        out = backbone(batch, forces=True, stress=True, heads=direct)
        out[STRESSES.name] = out[STRESSES.name][batch.pbc.all(dim=1)]
        for name, value in out.items():
            gradients = _gradients(value, trainable)
            if not any(g.any() for g in gradients.values()):
                yield f"a loss on the {name} reaches no parameter"
                unreached = set()
                continue
            for parameter, gradient in gradients.items():
                if not gradient.isfinite().all():
                    yield f"a loss on the {name} gives '{parameter}' one that is not finite"
                    unreached.discard(parameter)
                elif name in {ENERGY.name, *direct} and gradient.any():
                    unreached.discard(parameter)
    for parameter in (n for n in trainable if n in unreached):
        yield f"none reaches '{parameter}'; freeze it in the adapter"


def _gradients(value: Tensor, trainable: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a loss on a value, for the parameters it reaches."""
    if not value.requires_grad:
        return {}
    loss, parameters = value.square().sum(), list(trainable.values())
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return {name: g for name, g in zip(trainable, found, strict=True) if g is not None}


def gradients_everywhere(
    backbone: Backbone, direct: Sequence[str], structures: Mapping[str, Atoms]
) -> Iterator[str]:
    """Yield a line if atoms without neighbours leave a parameter without any gradient, even of zero."""
    backbone = copy.deepcopy(backbone).train()
    trainable = {n: p for n, p in backbone.named_parameters() if p.requires_grad}
    for name, atoms in structures.items():
        with torch.enable_grad():
            batch = backbone.collate([backbone.graph(atoms)])
            out = backbone(batch, forces=True, heads=direct)
            loss = sum(value.nan_to_num().sum() for value in out.values())
            gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
        missing = [n for n, g in zip(trainable, gradients, strict=True) if g is None]
        if missing:
            yield (
                f"{name}: none, not even of zero, for {len(missing)} parameters such as "
                f"'{missing[0]}'; say so in reaches_all of the adapter"
            )
