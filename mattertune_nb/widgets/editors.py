"""The editor that a pydantic annotation asks for.

ipyautoui 0.9 makes forms from pydantic too; it is not used, as optional and union fields, which are
half of ours, are where it fails (its issues 145, 305, 306), and it would bring ipyvuetify and more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from mattertune_nb.widgets.annotations import (
    is_config,
    is_optional,
    kind_of,
    kind_of_value,
    members,
    tag_field,
)
from mattertune_nb.widgets.fields import Editor, OptionalValue, Simple
from mattertune_nb.widgets.nested_fields import Choice, Optional, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


def make_editor(
    label: str,
    field: FieldInfo,
    annotation: Any,
    nested: Callable[[type[BaseModel], Callable[[], None]], Editor],
    changed: Callable[[], None],
) -> Editor:
    """Return the editor that an annotation asks for.

    Parameters
    ----------
    label, field
        Name and description.
    annotation
        Type of the value.
    nested
        Makes the form of a nested config.
    changed
        Called after a change.
    """
    if is_optional(annotation):
        inner = _without_none(annotation)
        kinds = members(inner)
        if len(kinds) == 1 and not is_config(kinds[0]):
            single = make_editor(label, field, inner, nested, changed)
            if isinstance(single, Simple):
                return OptionalValue(single, changed)
        return Optional(
            label, field, lambda: make_editor(label, field, inner, nested, changed), changed
        )
    kinds = members(annotation)
    configs = [m for m in kinds if is_config(m)]
    others = [m for m in kinds if not is_config(m)]
    if len(kinds) == 1 and configs:
        return nested(configs[0], changed)
    if len(kinds) == 1 and get_origin(others[0]) is list:
        item = get_args(others[0])[0]
        if any(map(is_config, members(item))):
            return Rows(
                label, field, lambda: make_editor("kind", field, item, nested, changed), changed
            )
    if len(kinds) == 1:
        return Simple(label, field, others[0], changed)
    if configs and not others:
        return _config_choice(label, field, configs, nested, changed)
    return _kind_choice(label, field, configs, others, nested, changed)


def _config_choice(
    label: str, field: FieldInfo, configs: list[Any], nested: Any, changed: Callable[[], None]
) -> Editor:
    tags = {}
    for config in configs:
        tag = tag_field(config) or ""
        tags[str(config.model_fields[tag].default)] = (tag, config)
    editors: dict[str, tuple[str, Callable[[], Editor]]] = {
        key: (key.replace("_", " "), partial(nested, config, changed))
        for key, (_, config) in tags.items()
    }
    tag_name = next(iter(tags.values()))[0]
    choice = Choice(
        label,
        field,
        editors,
        lambda raw: str(raw[tag_name] if isinstance(raw, dict) else raw),
        changed,
    )
    choice.wide = True
    return choice


def _kind_choice(
    label: str,
    field: FieldInfo,
    configs: list[Any],
    others: list[Any],
    nested: Any,
    changed: Callable[[], None],
) -> Editor:
    extra: Any = field.json_schema_extra or {}
    names = extra.get("kinds", {})
    editors: dict[str, tuple[str, Callable[[], Editor]]] = {}
    if configs:
        editors["config"] = (
            names.get("config", "one"),
            lambda: _config_choice("kind", field, configs, nested, changed),
        )
    for member in others:
        kind = kind_of(member)
        text = ", ".join(map(str, get_args(member))) if kind == "literal" else kind
        editors[kind] = (
            names.get(kind, text),
            partial(make_editor, f"{label}: value", field, member, nested, changed),
        )
    keys = list(editors)
    return Choice(label, field, editors, lambda raw: kind_of_value(raw, keys), changed)


def _without_none(annotation: Any) -> Any:
    kinds = members(annotation)
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007  made at run time
