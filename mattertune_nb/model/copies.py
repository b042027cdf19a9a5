"""Copies of the last interaction block: an ensemble trained in one run, as one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mattertune_nb.backbones.members import Members
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.model.depth import last_block

if TYPE_CHECKING:
    from mattertune_nb.backbones.backbone import Backbone


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
