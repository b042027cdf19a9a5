"""What a backbone is rebuilt from: the settings and weights that a checkpoint of ours holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


@dataclass(frozen=True)
class Start:
    """Everything needed to rebuild a backbone without the file its weights came from.

    Attributes
    ----------
    settings
        Settings of the backbone whose weights were tuned first, as plain data.
    architecture
        Its ``Backbone.architecture``, if it has one.
    is_tuned
        Whether an earlier run tuned the weights.
    weights
        Weights of a run, by their names in a checkpoint; ``None`` if they are loaded later.
    copies
        Number of copies of the last block in the weights.
    """

    settings: Mapping[str, Any]
    architecture: dict[str, Any] | None = None
    is_tuned: bool = False
    weights: Mapping[str, torch.Tensor] | None = None
    copies: int = 1
