"""Depth of a parameter: before the interaction blocks, in one of them, or after them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.model.lora import weights_of_updates

if TYPE_CHECKING:
    from mattertune_nb.backbones.backbone import Backbone


def depths(backbone: Backbone, asked_by: str) -> dict[str, int]:
    """Return the depth of each parameter of a backbone, by name.

    Parameters
    ----------
    backbone
        The model; its ``block_pattern`` identifies the blocks.
    asked_by
        Name of the setting that needs the depths, for messages.

    Returns
    -------
    dict
        0 for embeddings; 1, 2, … for the first, second, … interaction block; and the number of blocks plus
        one for the readout of the energy from the features.

    Raises
    ------
    ConfigError
        The backbone does not specify its blocks.
    """
    return _depths(backbone, asked_by)[0]


def last_block(backbone: Backbone, asked_by: str) -> list[str]:
    """Return the names of the parameters in the last interaction block and the layers after it.

    Parameters
    ----------
    backbone, asked_by
        As for :func:`depths`.
    """
    found, n_blocks = _depths(backbone, asked_by)
    return [name for name, depth in found.items() if depth >= n_blocks]


def _depths(backbone: Backbone, asked_by: str) -> tuple[dict[str, int], int]:
    """Return the depths and the number of blocks."""
    names = [name for name, _ in backbone.named_parameters()]
    pattern = backbone.block_pattern
    blocks = [] if pattern is None else [re.search(pattern, name) for name in names]
    if not any(blocks):
        msg = (
            f"{asked_by}: {backbone.label} does not tell which parameters its interaction blocks have; use "
            "patterns over their names (freeze, optimizer.lr_factors)."
        )
        raise ConfigError(msg)
    numbers = [None if found is None else int(found[1]) + 1 for found in blocks]
    n_blocks = max(number for number in numbers if number is not None)
    first = next(i for i, number in enumerate(numbers) if number is not None)
    found = {
        name: number if number is not None else 0 if i < first else n_blocks + 1
        for i, (name, number) in enumerate(zip(names, numbers, strict=True))
    }
    # a low-rank update has the depth of its weight
    of_updates = {update: found[weight] for update, weight in weights_of_updates(backbone)}
    return found | of_updates, n_blocks


def freeze_blocks(backbone: Backbone, n_blocks: int) -> None:
    """Freeze the first interaction blocks, and everything before them.

    Parameters
    ----------
    backbone
        The model.
    n_blocks
        Number of blocks; 0: nothing is frozen.

    Raises
    ------
    ConfigError
        There are fewer blocks, or the backbone does not specify them.
    """
    if not n_blocks:
        return
    found, there = _depths(backbone, "frozen_blocks")
    if n_blocks > there:
        msg = f"frozen_blocks: {n_blocks}, and {backbone.label} has {there} interaction blocks."
        raise ConfigError(msg)
    for name, parameter in backbone.named_parameters():
        if found[name] <= n_blocks:
            parameter.requires_grad_(False)


def rate_factors(backbone: Backbone, decay: float) -> dict[str, float]:
    """Return the learning-rate factor of each parameter, by name; empty if all are 1.

    Parameters
    ----------
    backbone
        The model.
    decay
        Ratio of the learning rate of an interaction block to that of the next one.
    """
    if decay == 1:
        return {}
    found = depths(backbone, "lr_decay")
    last = max(found.values())
    return {name: decay ** (last - depth) for name, depth in found.items()}
