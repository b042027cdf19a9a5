"""What a checkpoint holds of a model, and the model from a checkpoint alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.backbones.trust import without_trust
from mattertune_nb.config.errors import ConfigError, TrainingError
from mattertune_nb.config.places import CHECKPOINTS, checkpoint_file, factors_of
from mattertune_nb.model.arguments import arguments_for_checkpoint, arguments_in
from mattertune_nb.model.checkpoint import read_checkpoint, warn_of_own_class
from mattertune_nb.model.formats import FORMAT, KEY, upgrade
from mattertune_nb.model.lora import merge_lora, unpack
from mattertune_nb.model.starting import start_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.model.potential import Potential

M = TypeVar("M", bound="Potential")

_COPIES = "copies"
"""Checkpoint key for what it stores about copies of the last block besides their weights."""


def load(
    cls: type[M],
    place: str | Path | RunLike,
    map_location: Any,
    arguments: Mapping[str, Any],
    *,
    strict: bool,
    is_own: bool,
) -> M:
    """Load a model; see :meth:`FinetuneModuleBase.load_from_checkpoint`.

    Parameters
    ----------
    cls
        The class to instantiate.
    place, map_location, strict
        As there.
    arguments
        Arguments for the class; the others are taken from the checkpoint.
    is_own
        Whether the class is a user's own.
    """
    file = checkpoint_file(place)
    contents = read_checkpoint(file, map_location=map_location)
    settings = contents["hyper_parameters"]
    config = backbone_config_class(settings["name"]).from_dict(settings, source=str(file))
    config = without_trust(config)
    given = {**arguments_in(contents, cls), **arguments}
    missing = [name for name in contents.get("arguments_left_out", ()) if name not in given]
    if missing and is_own:
        msg = (
            f"{file}: {cls.__name__} was given {', '.join(missing)}, which a checkpoint cannot store. Give "
            "it again, as an argument of load_from_checkpoint."
        )
        raise ConfigError(msg)
    model = cls(config.starting_from(start_in(contents)), **given)
    merge_lora(model.backbone)
    if not is_own:
        warn_of_own_class(contents, file)
    model.on_load_checkpoint(contents)
    state = contents["state_dict"]
    _take_format(model, state)
    try:
        model.load_state_dict(state, strict=strict)
    except RuntimeError as exc:  # several lines for each tensor
        raise TrainingError(_misfit(model, state, file)) from exc
    if model.factors and file.parent.name == CHECKPOINTS:
        model.factors |= factors_of(file.parent.parent)
    return model.eval()


def _misfit(model: Potential, state: Mapping[str, Any], file: Path) -> str:
    """Say which weights of a checkpoint do not fit the model."""
    own = model.state_dict()
    wrong = {
        "missing": [name for name in own if name not in state],
        "unknown to the model": [name for name in state if name not in own],
        "of another shape": [n for n in own if n in state and own[n].shape != state[n].shape],
    }
    told = [
        f"'{names[0]}'" + (f" and {len(names) - 1} others" if names[1:] else "") + f" {kind}"
        for kind, names in wrong.items()
        if names
    ]
    return (
        f"{file}: its weights do not fit the model: {'; '.join(told)}. Load it with the class that made it"
        + ("." if wrong["of another shape"] else ", or give strict=False to take those that fit.")
    )


def _take_format(model: Potential, state: Mapping[str, Any]) -> None:
    """Let backbone and heads compute in the number format of their weights, in which they were evaluated."""
    for name in ("backbone", "heads"):
        part = getattr(model, name)
        first = next((key for key, _ in part.named_parameters(prefix=name) if key in state), None)
        if first is not None:
            part.to(state[first].dtype)


def contents_of(model: Potential) -> dict[str, Any]:
    """Return what a checkpoint holds of a model that no Trainer trains: enough to load it again."""
    contents: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "hyper_parameters": model.hparams.to_dict(),
    }
    model.on_save_checkpoint(contents)
    return contents


def about(model: Potential) -> dict[str, Any]:
    """Return what a checkpoint stores about a model besides weights and settings."""
    told: dict[str, Any] = {
        KEY: FORMAT,
        "baseline": dict(model.baseline),
        "module_class": type(model).__qualname__,
    }
    if model.backbone.architecture is not None:
        told["architecture"] = model.backbone.architecture
    members = model.backbone.members
    if members is not None:
        told[_COPIES] = {"seed": members.seed, "factors": dict(model.factors)}
    if model.start is not None:
        told["start"] = dict(model.start)
    return told | arguments_for_checkpoint(model.arguments)


def take_about(model: Potential, checkpoint: dict[str, Any]) -> None:
    """Restore what :func:`about` stored; an older checkpoint is brought to the newest format in place."""
    upgrade(checkpoint)
    model.baseline = dict(checkpoint.get("baseline", {}))
    unpack(model.backbone, checkpoint)
    members, told = model.backbone.members, checkpoint.get(_COPIES)
    if members is not None and told is not None:
        members.seed = int(told["seed"])
        model.factors |= told["factors"]
