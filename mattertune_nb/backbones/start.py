"""What a backbone is rebuilt from: the settings and weights that a checkpoint of ours holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.model import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.backbones.base import BackboneConfig


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

    def backbone(self, config: BackboneConfig) -> Backbone:
        """Build the backbone; settings in `config` other than those of the weights apply."""
        # whether the file is trusted is for the reader to decide, not for the checkpoint
        told = {k: v for k, v in self.settings.items() if k != "trust_checkpoint"}
        root = type(config).from_dict(told)
        own = set(type(config).model_fields) - set(ModelConfig.model_fields)
        for name in own - {"name", "checkpoint", "pretrained_model", "trust_checkpoint"}:
            value = getattr(config, name)
            if value != type(config).model_fields[name].get_default(call_default_factory=True):
                root = root.model_copy(update={name: value})
        if self.architecture is None:
            return root.create_backbone()
        return root.create_backbone(self.architecture)
