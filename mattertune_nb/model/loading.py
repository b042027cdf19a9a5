"""A model from a checkpoint alone: its backbone, weights, number format and a user's own arguments."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.places import (
    CHECKPOINTS,
    checkpoint_file,
    factors_of,
    members_of,
    path_of,
)
from mattertune_nb.model.checkpoint import read_checkpoint, warn_of_own_class
from mattertune_nb.model.copies import about_copies
from mattertune_nb.model.formats import FORMAT, KEY
from mattertune_nb.model.starting import built_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.model.module import FinetuneModuleBase

M = TypeVar("M", bound="FinetuneModuleBase")

_STORED = (bool, int, float, str, type(None), torch.Tensor)
"""Types that a checkpoint can hold without code, also within lists, tuples and mappings."""


def load(
    cls: type[M],
    place: str | Path | RunLike,
    map_location: Any,
    arguments: Mapping[str, Any],
    *,
    strict: bool,
    base: type[FinetuneModuleBase],
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
    base
        The base class of users' classes.
    """
    if members_of(place) and cls is base:
        from mattertune_nb.model.ensemble import load_ensemble

        folder = path_of(place)
        return load_ensemble(  # type: ignore[return-value]  # a subclass of the base
            folder, partial(cls.load_from_checkpoint, map_location=map_location), factors_of(folder)
        )
    file = checkpoint_file(place)
    contents = read_checkpoint(file, map_location=map_location)
    settings = contents["hyper_parameters"]
    config = backbone_config_class(settings["name"]).from_dict(settings, source=str(file))
    given = {**_kept_arguments(cls, contents), **arguments}
    missing = [name for name in contents.get("arguments_left_out", ()) if name not in given]
    if missing and cls is not base:
        msg = (
            f"{file}: {cls.__name__} was given {', '.join(missing)}, which a checkpoint cannot store. Give "
            "it again, as an argument of load_from_checkpoint."
        )
        raise ConfigError(msg)
    model = cls(built_from(contents, config), **given)
    model.hparams._start = None
    model.merge_lora()
    if cls is base:
        warn_of_own_class(contents, file)
    model.on_load_checkpoint(contents)
    state = contents["state_dict"]
    _take_format(model, state)
    model.load_state_dict(state, strict=strict)
    if model.factors and file.parent.name == CHECKPOINTS:
        model.factors |= factors_of(file.parent.parent)
    return model.eval()


def _take_format(model: FinetuneModuleBase, state: Mapping[str, Any]) -> None:
    """Let backbone and heads compute in the number format of their weights, in which they were evaluated."""
    for name in ("backbone", "heads"):
        part = getattr(model, name)
        first = next((key for key, _ in part.named_parameters(prefix=name) if key in state), None)
        if first is not None:
            part.to(state[first].dtype)


def own_arguments(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a user's own class other than the config, by name."""
    try:
        bound = inspect.signature(type(model).__init__).bind(model, *args, **kwargs)
    except TypeError:
        return {}  # the constructor reports what is wrong with them
    named = dict(list(bound.arguments.items())[2:])
    for name, parameter in inspect.signature(type(model).__init__).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(name, {})
        elif parameter.kind is parameter.VAR_POSITIONAL:
            named.pop(name, None)
    return named


def about(model: FinetuneModuleBase) -> dict[str, Any]:
    """Return what a checkpoint stores about a model besides weights and settings."""
    told: dict[str, Any] = {
        KEY: FORMAT,
        "baseline": dict(model.baseline),
        "module_class": type(model).__qualname__,
    }
    if model.backbone.architecture is not None:
        told["architecture"] = model.backbone.architecture
    told |= about_copies(model)
    if model.start is not None:
        told["start"] = dict(model.start)
    return told | arguments_for_checkpoint(model.arguments)


def arguments_for_checkpoint(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a user's own class in the form a checkpoint stores them."""
    stored = {name: value for name, value in arguments.items() if _is_stored(value)}
    left_out = [name for name in arguments if name not in stored]
    found: dict[str, Any] = {"arguments": stored} if stored else {}
    return found | ({"arguments_left_out": left_out} if left_out else {})


def _is_stored(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_stored(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_stored(v) for k, v in value.items())
    return type(value) in _STORED


def _kept_arguments(cls: type[Any], contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments in a checkpoint that a class accepts."""
    kept: dict[str, Any] = contents.get("arguments", {})
    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(kept)
    return {name: value for name, value in kept.items() if name in parameters}
