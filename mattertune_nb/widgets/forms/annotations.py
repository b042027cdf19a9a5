"""What a pydantic annotation requires of a form, worked out once."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def members(annotation: Any) -> list[Any]:
    """Return the members of a union, including nested ones, without ``None`` and metadata."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [m for arg in get_args(annotation) if arg is not type(None) for m in members(arg)]
    return [annotation]


def is_optional(annotation: Any) -> bool:
    """Return whether ``None`` is allowed."""
    if get_origin(annotation) is Annotated:
        return is_optional(get_args(annotation)[0])
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return is_union and type(None) in get_args(annotation)


def is_config(annotation: Any) -> bool:
    """Return whether an annotation is a config class."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def config_classes(annotation: Any) -> list[type[BaseModel]]:
    """Return the config classes in an annotation, including those in lists and mappings."""
    if is_config(annotation):
        return [annotation]
    return [cls for argument in get_args(annotation) for cls in config_classes(argument)]


def is_object(annotation: Any) -> bool:
    """Return whether values are Python objects that people would not type, e.g. structures."""
    return any(
        isinstance(mark, WithJsonSchema) and (mark.json_schema or {}).get("type") == "object"
        for mark in getattr(annotation, "__metadata__", ())
    )


def finite_options(
    annotation: Any, names: Mapping[str, str], words: Mapping[str, str]
) -> list[tuple[str, Any]] | None:
    """Return texts and values of a type with finitely many values; ``None`` for any other.

    Parameters
    ----------
    annotation
        Type of the value; a bool alone is a switch rather than a list of options.
    names
        The field's names for kinds: ``none`` for not set, ``literal`` for a kind with a single value.
    words
        The field's names for values.
    """
    kinds = members(annotation)
    if not all(kind is bool or get_origin(kind) is Literal for kind in kinds):
        return None
    literals = [value for kind in kinds if kind is not bool for value in get_args(kind)]
    if not literals and not is_optional(annotation):
        return None
    options: list[tuple[str, Any]] = []
    if is_optional(annotation):
        options.append((names.get("none", "not set"), None))
    if bool in kinds:
        options += [("no", False), ("yes", True)]
    if len(literals) == 1 and "literal" in names:
        return [*options, (names["literal"], literals[0])]
    return options + [(words.get(str(value), str(value)), value) for value in literals]


def tag_field(cls: type[BaseModel]) -> str | None:
    """Return the field that distinguishes a config from the others in a union, e.g. ``name``."""
    for name in ("name", "type"):
        field = cls.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is Literal:
            return name
    return None


def kind_text(config: type[BaseModel]) -> str:
    """Return the name for people of a kind of config in a union, e.g. "AdamW"."""
    tag = tag_field(config)
    if tag is None:
        return config.__name__.removesuffix("Config")
    field = config.model_fields[tag]
    extra: Any = field.json_schema_extra or {}
    key = str(field.default)
    return str(extra.get("options", {}).get(key, key.replace("_", " ")))


def kind_of(annotation: Any) -> str:
    """Return the key of a type in a field's ``kinds``, e.g. ``int``, ``list`` or ``config``."""
    annotation = members(annotation)[0]
    if is_config(annotation):
        return "config"
    origin = get_origin(annotation)
    if origin is Literal:
        return "literal"
    if origin is not None:
        return str(origin.__name__)
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return "str"
    return annotation.__name__ if isinstance(annotation, type) else "any"


def kind_of_value(value: Any, kinds: list[str], literals: Collection[Any] = ()) -> str:
    """Return which of `kinds` a value belongs to; `literals` are the values of the kind of that name."""
    if value is None and "none" in kinds:
        return "none"
    if isinstance(value, dict):
        return "config" if "config" in kinds else "dict"
    if value in literals:
        return "literal"
    name = type(value).__name__
    return name if name in kinds else kinds[0]
