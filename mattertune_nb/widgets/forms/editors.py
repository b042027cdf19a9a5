"""The editor that a pydantic annotation asks for.

ipyautoui 0.9 makes forms from pydantic too; it is not used, as optional and union fields, which are
half of ours, are where it fails (its issues 145, 305, 306), and it would bring ipyvuetify and more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from mattertune_nb.widgets.forms.annotations import (
    finite_options,
    is_config,
    is_object,
    is_optional,
    kind_of,
    kind_of_value,
    members,
    tag_field,
)
from mattertune_nb.widgets.forms.fields import Editor, FromPython, OptionalValue, Simple
from mattertune_nb.widgets.forms.file_field import FileEditor
from mattertune_nb.widgets.forms.lists import Keyed, Rows
from mattertune_nb.widgets.forms.nested_fields import Choice, Optional, Section
from mattertune_nb.widgets.page.controls import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    Nested = Callable[[type[BaseModel], Callable[[], None]], Editor]
    Makers = dict[str, tuple[str, Callable[[], Editor] | None]]

_FEW = 2
"""A config with no more settings than this fits in a column."""


def make_editor(
    label: str, field: FieldInfo, annotation: Any, nested: Nested, changed: Callable[[], None]
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
    extra: Any = field.json_schema_extra or {}
    options = finite_options(annotation, extra.get("kinds", {}), extra.get("options", {}))
    if options is not None:
        return Simple(label, field, annotation, changed, options)
    kinds = members(annotation)
    configs = [m for m in kinds if is_config(m)]
    others = [m for m in kinds if not is_config(m)]
    if others and len(kinds) > 1:
        return _kind_choice(label, field, annotation, nested, changed)
    if is_optional(annotation):
        inner = _without_none(annotation)
        if others:
            single = make_editor(label, field, inner, nested, changed)
            if isinstance(single, Simple):
                return OptionalValue(single, changed)
        elif len(configs) == 1:
            make = partial(nested, configs[0], changed)
            return Optional(label, field, make, changed)
        return Optional(
            label, field, lambda: make_editor(_kind(inner), field, inner, nested, changed), changed
        )
    if len(configs) > 1:
        return _config_choice(label, field, configs, nested, changed)
    if configs:
        return Section(label, field, partial(nested, configs[0], changed), changed)
    return _single(label, field, others[0], nested, changed)


def _single(label: str, field: FieldInfo, kind: Any, nested: Nested, changed: Any) -> Editor:
    """Return the editor of one type that is no config: a list of configs, a mapping, a value."""
    arguments = get_args(kind)
    if get_origin(kind) is list and any(map(is_config, members(arguments[0]))):
        make = partial(make_editor, _kind(arguments[0]), field, arguments[0], nested, changed)
        return Rows(label, field, make, changed)
    if get_origin(kind) is list and is_object(arguments[0]):
        return FromPython(label, field, changed)
    if get_origin(kind) is dict and get_origin(arguments[0]) is Literal:
        item = arguments[1]
        if get_origin(item) is list and any(map(is_config, members(get_args(item)[0]))):

            def rows(key: str) -> Rows:
                editor = _single(f"{label} of {key}", field, item, nested, changed)
                assert isinstance(editor, Rows)
                return editor

            keys = get_args(arguments[0])
            return Section(label, field, lambda: Keyed(keys, rows, changed), changed)
    extra: Any = field.json_schema_extra or {}
    if extra.get("files"):
        return FileEditor(label, field, kind, changed)
    return Simple(label, field, kind, changed)


def _config_choice(
    label: str, field: FieldInfo, configs: list[Any], nested: Nested, changed: Callable[[], None]
) -> Editor:
    tag = tag_field(configs[0]) or ""
    editors: Makers = {}
    for config in configs:
        name = config.model_fields[tag]
        key, extra = str(name.default), name.json_schema_extra or {}
        make = partial(nested, config, changed) if len(config.model_fields) > 1 else None
        editors[key] = (extra.get("options", {}).get(key, key.replace("_", " ")), make)
    choice = _ConfigChoice(
        label,
        field,
        editors,
        lambda raw: str(raw[tag]),
        changed,
        wide=any(len(config.model_fields) - 1 > _FEW for config in configs),
    )
    choice.tag = tag
    return choice


class _ConfigChoice(Choice):
    """One of several configs, told apart by a tag; a config of nothing else has no editor."""

    tag = ""

    def get(self) -> Any:
        return {self.tag: self.kind.value} if self.inner is None else self.inner.get()


def _kind_choice(
    label: str, field: FieldInfo, annotation: Any, nested: Nested, changed: Callable[[], None]
) -> Editor:
    extra: Any = field.json_schema_extra or {}
    names = extra.get("kinds", {})
    configs = [m for m in members(annotation) if is_config(m)]
    editors: Makers = {}
    if is_optional(annotation):
        editors["none"] = (names.get("none", "not set"), None)
    if configs:
        one = configs[0] if len(configs) == 1 else Union[tuple(configs)]  # noqa: UP007  made at run time
        editors["config"] = (
            names.get("config", "one"),
            partial(make_editor, _kind(one), field, one, nested, changed),
        )
    for member in members(annotation):
        if is_config(member):
            continue
        kind = kind_of(member)
        values = get_args(member)
        text = ", ".join(map(str, values)) if kind == "literal" else kind
        if kind == "literal" and len(values) == 1:
            editors[kind] = (names.get(kind, text), partial(_Fixed, values[0], changed))
        else:
            editors[kind] = (
                names.get(kind, text),
                partial(make_editor, f"{label}: value", field, member, nested, changed),
            )
    keys = list(editors)
    return Choice(
        label,
        field,
        editors,
        lambda raw: kind_of_value(raw, keys),
        changed,
        wide=bool(configs) or {"dict"} <= set(keys),
    )


class _Fixed(Editor):
    """The one value of a kind; there is nothing to edit."""

    def __init__(self, value: Any, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        self._value = value
        self.widget = Box()

    def get(self) -> Any:
        return self._value

    def _show(self, value: Any) -> None:
        pass


def _kind(annotation: Any) -> str:
    """Return what people call the choice among configs, e.g. "Kind of logger"."""
    config = next(kind for kind in members(annotation) if is_config(kind))
    tag = tag_field(config)
    return (tag and config.model_fields[tag].title) or "Kind"


def _without_none(annotation: Any) -> Any:
    kinds = members(annotation)
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007  made at run time
