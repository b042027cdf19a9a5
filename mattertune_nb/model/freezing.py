"""Freezing: keeping parameters at their pretrained values."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import torch

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.properties import ENERGY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from mattertune_nb.backbones.backbone import Backbone


def freeze(backbone: nn.Module, patterns: Sequence[str]) -> frozenset[str]:
    """Freeze the parameters whose names match a pattern; return the names of all frozen parameters.

    Raises
    ------
    ConfigError
        A pattern matches no parameter, or nothing would be left to train.
    """
    names = [name for name, _ in backbone.named_parameters()]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            msg = f"freeze: '{pattern}' matches no parameter of the backbone, e.g. '{names[0]}'."
            raise ConfigError(msg)
    for name, parameter in backbone.named_parameters():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in backbone.parameters()):
        msg = f"freeze: {patterns} leaves nothing to train."
        raise ConfigError(msg)
    return frozenset(n for n, p in backbone.named_parameters() if not p.requires_grad)


def freeze_unreached(backbone: Backbone, outputs: Sequence[str]) -> None:
    """Freeze the parameters that no gradient of the loss reaches, such as heads of other properties.

    If left trainable, they would decay under AdamW, and distributed training would wait for their gradients.

    Parameters
    ----------
    backbone
        The model as built by its adapter.
    outputs
        Trained outputs: the energy (its gradients reach the same parameters), heads, and features.
    """
    from ase.build import bulk

    symbol = "Cu" if "Cu" in backbone.elements else backbone.elements[0]
    batch = backbone.collate([backbone.graph(bulk(symbol, "fcc", a=3.6))])
    parameters = [p for p in backbone.parameters() if p.requires_grad]
    was_training = backbone.training
    heads = [name for name in outputs if name != ENERGY.name]
    with torch.enable_grad():
        out = backbone.train()(batch, forces=False, heads=heads)
        backbone.train(was_training)
        # in float64, because the heads of a model may differ in number format
        total = torch.stack([out[name].double().sum() for name in outputs]).sum()
        if not total.requires_grad:
            return  # the adapter cuts off the gradients, which its conformance test reports
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            parameter.requires_grad_(False)
