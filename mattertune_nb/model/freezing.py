"""Parameters that are held at their pretrained values."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def freeze(backbone: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the parameters whose names fit a pattern from training.

    Raises
    ------
    ConfigError
        Where a pattern fits none, or nothing would be left to train.
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
