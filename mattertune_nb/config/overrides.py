"""Changes of single fields, e.g. ``trainer.max_epochs=5``, as a command line gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from mattertune_nb.config.errors import ConfigError, cut, did_you_mean
from mattertune_nb.config.messages import unknown_setting
from mattertune_nb.config.paths import KINDS, child
from mattertune_nb.config.yaml import load_yaml, yaml_problem

if TYPE_CHECKING:
    from mattertune_nb.config.base import StrictConfig

C = TypeVar("C", bound="StrictConfig")


def override_settings(config: C, changes: list[str]) -> C:
    """Return the config with dotted fields set, e.g. ``trainer.max_epochs=5``; values are YAML.

    Raises
    ------
    ConfigError
        Where a field does not exist or a value does not fit.
    """
    data = config.to_dict()
    given: set[tuple[str, ...]] = set()
    for change in changes:
        field, separator, text = change.partition("=")
        if not separator or not field:
            msg = f"--set {cut(change)}: write FIELD=VALUE, e.g. trainer.max_epochs=5."
            raise ConfigError(msg)
        try:
            value = load_yaml(text)
        except yaml.YAMLError as exc:
            msg = (
                f"--set {cut(change)}: the value is not valid YAML ({yaml_problem(exc)}). Quote it."
            )
            raise ConfigError(msg) from exc
        given.add(tuple(field.split(".")))
        *parents, last = field.split(".")
        if parents and parents[0] not in data:
            msg = f"--set: {cut(parents[0])}: {unknown_setting(type(config), parents[0])}"
            raise ConfigError(msg)
        target: Any = data
        for name in parents:
            target = _child(target, name, field)
        if isinstance(target, list):
            _child(target, last, field)
            target[int(last)] = value
        elif isinstance(target, dict):
            target[last] = value
        else:
            _child(target, last, field)
    while True:
        try:
            return type(config).from_dict(data, source="--set" if changes else "")
        except ConfigError as exc:
            if not _drop_old_kind(data, given, exc):
                raise


def _drop_old_kind(data: Any, given: set[tuple[str, ...]], error: ConfigError) -> bool:
    """Drop what does not fit another kind of optimizer, loss, …, that was asked for by name or type."""
    dropped = False
    for path, _ in error.problems:
        names = tuple(map(str, path))
        switched = {(*names[:-1], kind) for kind in KINDS} & given
        if not switched or names in given:
            continue
        target = data
        for part in path[:-1]:
            target = target[part]
        if path[-1] in target:
            del target[path[-1]]
            dropped = True
    return dropped


def _child(target: Any, name: str, field: str) -> Any:
    try:
        return child(target, name)
    except KeyError:
        if isinstance(target, dict) and target:
            hint = did_you_mean(name, target) or f" Allowed: {', '.join(target)}."
        else:
            hint = f" It has {len(target)} entries." if isinstance(target, list) else ""
    msg = f"--set {cut(field)}: there is no '{cut(name)}' there.{hint}"
    raise ConfigError(msg)
