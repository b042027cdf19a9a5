"""Copies of the last interaction block: an ensemble trained in one run, as one model."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from mattertune_nb.backbones.members import Members
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.model.depth import last_block
from mattertune_nb.model.spread import mean_and_spread, whose, with_spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.backbones.graph import GraphBatch
    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.model.module import FinetuneModuleBase

_ABOUT = "copies"
"""Checkpoint key for information about the copies other than their weights."""


def add_copies(backbone: Backbone, n: int) -> None:
    """Copy a backbone's last interaction block and the layers after it, unless it has copies already.

    Parameters
    ----------
    backbone
        The model.
    n
        Number of copies; 1: nothing is done.

    Raises
    ------
    ConfigError
        The backbone does not specify its blocks, or all these parameters are frozen.
    """
    if n == 1 or backbone.members is not None:
        return
    names = last_block(backbone, "last_block_copies")
    own = dict(backbone.named_parameters())
    if not any(own[name].requires_grad for name in names):
        msg = (
            "last_block_copies: what would be copied is held, so that copies would stay alike. Free the last "
            "interaction block or the readout (freeze)."
        )
        raise ConfigError(msg)
    backbone.members = Members(backbone, names, n, torch.initial_seed())


def set_up_spreads(module: FinetuneModuleBase) -> None:
    """Add the spreads of the copies to the properties of a model whose backbone has copies."""
    if module.backbone.members is not None:
        module.properties = with_spreads(module.properties)
        module.factors = dict.fromkeys(module.properties, 1.0)


def asks_each(module: FinetuneModuleBase, properties: Sequence[PropertyName]) -> bool:
    """Return whether each copy's own prediction is needed: for spreads, and for our own heads.

    The gradient of the mean energy is the mean of the forces, but a head applied to the mean features does
    not give the mean of its outputs.
    """
    if module.backbone.members is None or module.training:
        return False
    ours = module.heads.named()
    return any(name in ours or module.properties[name].spread_of for name in properties)


def predict_each(
    module: FinetuneModuleBase, batch: GraphBatch, properties: Sequence[PropertyName]
) -> dict[PropertyName, Tensor]:
    """Predict with each copy and return their mean and spread.

    Parameters
    ----------
    module
        The model.
    batch
        The structures.
    properties
        Properties to predict.
    """
    of = whose(properties, module.properties)
    found = [
        module.normalization.with_references(out, batch)
        for out in module.heads.outputs_of_each(module.backbone, batch, list(of.values()))
    ]
    return mean_and_spread(found, of, module.factors)


def about_copies(module: FinetuneModuleBase) -> dict[str, Any]:
    """Return what a checkpoint stores about the copies besides their weights."""
    members = module.backbone.members
    if members is None:
        return {}
    return {_ABOUT: {"seed": members.seed, "factors": dict(module.factors)}}


def take_about_copies(module: FinetuneModuleBase, checkpoint: Mapping[str, Any]) -> None:
    """Restore what a checkpoint stores about the copies."""
    members, told = module.backbone.members, checkpoint.get(_ABOUT)
    if members is not None and told is not None:
        members.seed = int(told["seed"])
        module.factors |= told["factors"]


def one_member(model: FinetuneModuleBase, k: int) -> FinetuneModuleBase:
    """Return a model with only one of the copies, counted from 0.

    Raises
    ------
    ConfigError
        There is no such copy.
    """
    members = model.backbone.members
    n = 0 if members is None else members.n
    if members is None or not 0 <= k < n:
        msg = f"member: {k}, and the model has {n} copies of its last block, counted from 0."
        raise ConfigError(msg)
    alone = copy.deepcopy(model)
    members.keep(alone.backbone, k)
    alone.backbone.members = None
    alone._config = alone.hparams.model_copy(update={"last_block_copies": 1})
    alone.properties = {name: p for name, p in model.properties.items() if not p.spread_of}
    return alone
