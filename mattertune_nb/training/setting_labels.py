"""What people call the settings of runs that are known by their names in a config."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mattertune_nb.backbones.base import BackboneConfig
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.paths import KINDS, fields_named, label_of, models_in
from mattertune_nb.training.config import MatterTunerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


class _Words(NamedTuple):
    """How values of a setting are told: none, those that only code understands, the unit, the default."""

    none: str = "not set"
    options: Mapping[str, str] = MappingProxyType({})
    unit: str = ""
    default: Any = ...


class Called:
    """What the settings of some runs are called: by the label of each field, which the form shows as well.

    If several settings have the same label, such as each property's weight, the group's name precedes it.

    Parameters
    ----------
    settings
        All settings of each run by their dotted path.
    """

    def __init__(self, settings: Sequence[Mapping[str, Any]]) -> None:
        self._words: dict[str, _Words] = {}
        self._labels: dict[str, str] = {}
        owners: dict[str, list[str]] = {}
        for one in settings:
            for name in one:
                if name not in owners:
                    *owners[name], self._labels[name], self._words[name] = _found(name, one)
        while again := _alike(self._labels):
            if not any(owners[name] for name in again):
                break
            for name in again:
                if owners[name]:
                    self._labels[name] = f"{owners[name].pop()}: {self._labels[name]}"

    def label(self, name: str) -> str:
        """Return what a setting is called, e.g. ``Learning rate`` for ``model.optimizer.lr``."""
        return self._labels[name]

    def is_default(self, name: str, value: Any) -> bool:
        """Return whether a setting has its default."""
        return bool(self._words[name].default == value)

    def value(self, name: str, value: Any) -> str:
        """Return a value as the form says it; a long path without its beginning."""
        words = self._words[name]
        if value is None:
            return words.none
        if isinstance(value, bool):
            return "yes" if value else "no"
        text = words.options.get(str(value), str(value))
        unit = words.unit if isinstance(value, (int, float)) else ""
        parts = Path(text).parts
        is_long = Path(text).is_absolute() and len(parts) > 3
        return str(Path("…", *parts[-2:])) if is_long else f"{text} {unit}".rstrip()


def _alike(labels: Mapping[str, str]) -> list[str]:
    """Return the settings whose label another has too."""
    times = Counter(labels.values())
    return [name for name, label in labels.items() if times[label] > 1]


def _found(name: str, settings: Mapping[str, Any]) -> list[Any]:
    """Return the labels of the groups that a setting is in, its own label, and the words of its values."""
    models: list[type[BaseModel]] = [MatterTunerConfig]
    labels: list[str] = []
    words = _Words()
    path = ""
    for part in name.split("."):
        kinds = models
        models = _of_this_kind(models, path, settings)
        path = f"{path}.{part}" if path else part
        if fields := fields_named([*models, *kinds], part):
            labels.append(label_of(part, fields[0]))
            models, words = list(models_in(fields[0].annotation)), _words(fields)
        elif part.isdecimal():
            labels.append(str(settings.get(f"{path}.name", int(part) + 1)))
        else:  # of a mapping
            labels.append(part)
    return [*labels, words]


def _words(fields: Sequence[FieldInfo]) -> _Words:
    """Return how values of a field are told; others of a union have its options, too."""
    extras: list[dict[str, Any]] = [
        field.json_schema_extra for field in fields if isinstance(field.json_schema_extra, dict)
    ]
    first = fields[0].json_schema_extra
    own: dict[str, Any] = first if isinstance(first, dict) else {}
    options = {k: v for extra in reversed(extras) for k, v in extra.get("options", {}).items()}
    none = own.get("kinds", {}).get("none", "not set")
    default = ... if fields[0].is_required() else fields[0].get_default(call_default_factory=True)
    return _Words(none, options, own.get("unit", ""), default)


def _of_this_kind(
    models: list[type[BaseModel]], path: str, settings: Mapping[str, Any]
) -> list[type[BaseModel]]:
    """Return the config classes that the settings below a path are of."""
    kinds = {kind: settings[f"{path}.{kind}"] for kind in KINDS if f"{path}.{kind}" in settings}
    if BackboneConfig in models and "name" in kinds:
        try:
            return [backbone_config_class(str(kinds["name"]))]
        except MatterTuneError:  # of a package that is not here
            return models
    chosen = [
        model
        for model in models
        if any(
            k in model.model_fields and model.model_fields[k].default == v for k, v in kinds.items()
        )
    ]
    return chosen or models
