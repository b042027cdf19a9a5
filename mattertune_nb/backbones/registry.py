"""Backbones by name: entry points, loaded when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from mattertune_nb.backbones.base import BackboneConfig
from mattertune_nb.backbones.others import why_not_here
from mattertune_nb.config.errors import ConfigError, did_you_mean
from mattertune_nb.config.messages import shown

GROUP = "mattertune_nb.backbones"


@dataclass(frozen=True)
class BackboneInfo:
    """Facts about a backbone that are known without loading its vendor's package.

    Attributes
    ----------
    name
        Name of its entry point.
    config_class
        Its config class.
    installed
        Whether it can be used here.
    install_hint
        The command that installs it.
    """

    name: str
    config_class: type[BackboneConfig]
    installed: bool
    install_hint: str


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def available() -> dict[str, BackboneInfo]:
    """Return all registered backbones, except those whose entry point cannot be loaded."""
    found = {}
    for name in _entry_points():
        try:
            config_class = backbone_config_class(name)
        except ConfigError:
            continue
        found[name] = BackboneInfo(
            name, config_class, config_class.is_installed(), config_class.install_hint()
        )
    return found


@cache
def backbone_config_class(name: str) -> type[BackboneConfig]:
    """Return the config class of the backbone called `name`.

    Raises
    ------
    ConfigError
        There is no such backbone, or its entry point cannot be loaded.
    """
    points = _entry_points()
    why = why_not_here(name)
    if name not in points and why is not None:
        msg = f"there is no backbone '{name}': {why}."
        raise ConfigError(msg)
    if name not in points:
        msg = (
            f"unknown backbone '{name}'.{did_you_mean(name, points)} Allowed: {', '.join(points)}."
        )
        raise ConfigError(msg)
    try:
        config_class = points[name].load()
    except Exception as exc:
        msg = f"the backbone '{name}' ({points[name].value}) cannot be loaded: {exc}"
        raise ConfigError(msg) from exc
    if not (isinstance(config_class, type) and issubclass(config_class, BackboneConfig)):
        msg = f"the backbone '{name}' ({points[name].value}) is not a BackboneConfig"
        raise ConfigError(msg)
    return config_class


def _validate(value: Any) -> BackboneConfig:
    if isinstance(value, BackboneConfig):
        return value
    if not isinstance(value, dict):
        msg = f"expected settings of a backbone, as in 'name: chgnet'; got {shown(value)}"
        raise ConfigError(msg)
    if "name" not in value:
        msg = f"name: is required. Allowed: {', '.join(_entry_points())}."
        raise ConfigError(msg)
    return backbone_config_class(str(value["name"])).from_dict(value)


AnyBackboneConfig = Annotated[
    BackboneConfig,
    PlainValidator(_validate),
    PlainSerializer(lambda config: config.to_dict(), return_type=dict[str, Any]),
    WithJsonSchema({"type": "object", "title": "BackboneConfig"}),
]
"""A field with the config of any registered backbone, identified by ``name``."""
