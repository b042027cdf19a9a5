"""Arguments of a user's own class other than the config, which its checkpoints keep."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

_STORED = (bool, int, float, str, type(None), torch.Tensor)
"""Types that a checkpoint can hold without code, also within lists, tuples and mappings."""


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


def arguments_for_checkpoint(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in the form a checkpoint stores them, with the names of those it cannot store."""
    stored = {name: value for name, value in arguments.items() if _is_stored(value)}
    left_out = [name for name in arguments if name not in stored]
    found: dict[str, Any] = {"arguments": stored} if stored else {}
    return found | ({"arguments_left_out": left_out} if left_out else {})


def arguments_in(contents: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Return those arguments in a checkpoint that a class accepts."""
    kept: dict[str, Any] = contents.get("arguments", {})
    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(kept)
    return {name: value for name, value in kept.items() if name in parameters}


def _is_stored(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_stored(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_stored(v) for k, v in value.items())
    return type(value) in _STORED
