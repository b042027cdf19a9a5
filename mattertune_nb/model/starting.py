"""What a model starts from: the vendor's weights, or those tuned by an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.backbones.start import Start
from mattertune_nb.backbones.trust import without_trust
from mattertune_nb.config.errors import ConfigError, TrainingError, check_path
from mattertune_nb.config.model import ModelConfig
from mattertune_nb.config.places import checkpoint_file
from mattertune_nb.model.checkpoint import read_checkpoint, read_if_ours
from mattertune_nb.model.copies import add_copies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.backbones.backbone import Backbone
    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.model.heads import PropertyHeads
    from mattertune_nb.model.normalization import Normalization


def build(start: Start, config: BackboneConfig) -> Backbone:
    """Build the backbone; settings in `config` other than those of the weights apply."""
    root = without_trust(type(config).from_dict(dict(start.settings)))
    own = set(type(config).model_fields) - set(ModelConfig.model_fields)
    for name in own - {"name", "checkpoint", "pretrained_model", "trust_checkpoint"}:
        value = getattr(config, name)
        if value != type(config).model_fields[name].get_default(call_default_factory=True):
            root = root.model_copy(update={name: value})
    if start.architecture is None:
        return root.create_backbone()
    return root.create_backbone(start.architecture)


def give_weights(
    start: Start, backbone: Backbone, heads: PropertyHeads, normalization: Normalization
) -> None:
    """Load the weights of a run, with those of heads of the same names and the reference energies.

    Parameters
    ----------
    start
        What the model starts from.
    backbone, heads, normalization
        Parts of the model that starts from them.
    """
    if start.weights is None:
        return
    of_backbone = {
        name.removeprefix("backbone."): value
        for name, value in start.weights.items()
        if name.startswith("backbone.")
    }
    add_copies(backbone, start.copies)
    backbone.load_state_dict(of_backbone)
    own = heads.state_dict()
    of_heads = {
        name: start.weights[f"heads.{name}"]
        for name, value in own.items()
        if f"heads.{name}" in start.weights and start.weights[f"heads.{name}"].shape == value.shape
    }
    heads.load_state_dict(own | of_heads)
    if not normalization.references.any():
        # none are given: use the zero of energy found by the run
        for name in ("references", "span"):
            getattr(normalization, name).copy_(start.weights[f"normalization.{name}"])
        normalization.first_references.copy_(normalization.references)


def start_of(config: BackboneConfig) -> Start | None:
    """Return the starting point given by a config's ``checkpoint``, if it is a run or one of our checkpoints.

    Raises
    ------
    ConfigError
        It belongs to another backbone, or is a folder without a checkpoint.
    """
    if config.start is not None:
        return config.start
    place = config.checkpoint
    if place is None:
        return None
    if not place.exists():
        msg = f"checkpoint: {place} does not exist. {check_path()}"
        raise ConfigError(msg)
    if config.reads_folder(place):
        return None
    try:
        is_run = place.is_dir()
        contents = read_checkpoint(checkpoint_file(place)) if is_run else read_if_ours(place)
    except TrainingError as exc:
        msg = f"checkpoint: {exc}"
        raise ConfigError(msg) from exc
    if contents is None:
        return None
    tuned = contents["hyper_parameters"]["name"]
    if tuned != config.name:
        msg = (
            f"checkpoint: {place} was tuned with {tuned}, and this is {config.name}. Choose "
            f"the backbone {tuned}, or another checkpoint."
        )
        raise ConfigError(msg)
    copies = contents["hyper_parameters"].get("last_block_copies", 1)
    if copies not in (1, config.last_block_copies):
        msg = f"checkpoint: {place} has {copies} copies of its last block. Set last_block_copies to {copies}."
        raise ConfigError(msg)
    start = start_in(contents)
    return Start(
        start.settings,
        start.architecture,
        is_tuned=True,
        weights=contents["state_dict"],
        copies=copies,
    )


def start_in(contents: Mapping[str, Any]) -> Start:
    """Return what is needed to build the model of a checkpoint; its weights are loaded later."""
    before = contents.get("start")
    settings = contents["hyper_parameters"] if before is None else before
    return Start(settings, contents.get("architecture"), is_tuned=before is not None)
