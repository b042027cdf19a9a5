"""The editor for a pydantic annotation.

ipyautoui 0.9 also makes forms from pydantic models. It is not used because it fails on optional and union
fields, half of ours (its issues 145, 305, 306), and would pull in ipyvuetify and more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from mattertune_nb.widgets.forms.annotations import (
    config_classes,
    finite_options,
    is_config,
    is_object,
    is_optional,
    kind_of,
    kind_of_value,
    kind_text,
    members,
    tag_field,
)
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.fields import FromPython, OptionalValue, Simple
from mattertune_nb.widgets.forms.file_field import FileEditor
from mattertune_nb.widgets.forms.lists import Keyed, Rows
from mattertune_nb.widgets.forms.nested_fields import Choice, Optional, Section
from mattertune_nb.widgets.page.controls import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from mattertune_nb.widgets.forms.about import About

    Nested = Callable[[type[BaseModel], Callable[[], None]], Editor]
    Makers = dict[str, tuple[str, Callable[[], Editor] | None]]

_SEVERAL = "several"
_FEW = 2
"""A config with at most this many settings fits in a column."""


def make_editor(about: About, nested: Nested, changed: Callable[[], None]) -> Editor:
    """Return the editor for the type of a setting.

    Parameters
    ----------
    about
        The setting.
    nested
        Creates the form of a nested config.
    changed
        Called after a change.
    """
    annotation, extra = about.annotation, about.extra
    options = finite_options(annotation, extra.get("kinds", {}), extra.get("options", {}))
    if options is not None:
        return Simple(about, changed, options)
    kinds = members(annotation)
    configs = [m for m in kinds if is_config(m)]
    several = [m for m in kinds if get_origin(m) is dict and configs and config_classes(m)]
    others = [m for m in kinds if not is_config(m) and m not in several]
    if others and len(kinds) > 1:
        return _kind_choice(about, nested, changed)
    if is_optional(annotation):
        inner = _without_none(annotation)
        if others:
            single = make_editor(about.typed(inner), nested, changed)
            if isinstance(single, Simple):
                return OptionalValue(single, changed)
        elif len(configs) == 1:
            make = partial(nested, configs[0], changed)
            return Optional(about, make, changed)
        within = about.typed(inner, _kind(inner))
        return Optional(about, lambda: make_editor(within, nested, changed), changed)
    if len(configs) > 1:
        return _config_choice(about, configs, nested, changed, has_several=bool(several))
    if configs:
        return Section(about, partial(nested, configs[0], changed), changed)
    return _single(about.typed(others[0]), nested, changed)


def _single(about: About, nested: Nested, changed: Any) -> Editor:
    """Return the editor of one type other than a config: a list of configs, a mapping, a value."""
    kind = about.annotation
    arguments = get_args(kind)
    if get_origin(kind) is list and any(map(is_config, members(arguments[0]))):
        item = about.typed(arguments[0], _kind(arguments[0]))
        return Rows(about, partial(make_editor, item, nested, changed), changed)
    if get_origin(kind) is list and is_object(arguments[0]):
        return FromPython(about, changed)
    if get_origin(kind) is dict and get_origin(arguments[0]) is Literal:
        item = arguments[1]
        if get_origin(item) is list and any(map(is_config, members(get_args(item)[0]))):

            def rows(key: str) -> Rows:
                label = f"{about.label} of {key}"
                editor = _single(about.typed(item, label), nested, changed)
                assert isinstance(editor, Rows)
                return editor

            keys = get_args(arguments[0])
            return Section(about, lambda: Keyed(keys, rows, changed), changed)
    if about.extra.get("files"):
        return FileEditor(about, changed)
    return Simple(about, changed)


def _config_choice(
    about: About,
    configs: list[Any],
    nested: Nested,
    changed: Callable[[], None],
    *,
    has_several: bool = False,
) -> Editor:
    # a base class, which stands for configs from other packages, has no tag
    tags = {config: tag for config in configs if (tag := tag_field(config))}
    editors: Makers = {}
    for config, tag in tags.items():
        key = str(config.model_fields[tag].default)
        make = partial(nested, config, changed) if len(config.model_fields) > 1 else None
        editors[key] = (kind_text(config), make)
    if has_several:
        # kept unchanged: these are written in YAML or Python
        editors[_SEVERAL] = ("several named sets", lambda: FromPython(about, changed))

    def kind_of(raw: Any) -> str:
        if has_several and not any(tag in raw for tag in tags.values()):
            return _SEVERAL
        found = [str(raw[tag]) for tag in tags.values() if tag in raw]
        return next((kind for kind in found if kind in editors), found[0])

    choice = _ConfigChoice(
        about,
        editors,
        kind_of,
        changed,
        wide=any(len(config.model_fields) - 1 > _FEW for config in configs),
    )
    choice.tag = next(iter(tags.values()))
    return choice


class _ConfigChoice(Choice):
    """One of several configs, distinguished by a tag; a config with no other fields has no editor."""

    tag = ""

    def get(self) -> Any:
        return {self.tag: self.kind.value} if self.inner is None else self.inner.get()


def _kind_choice(about: About, nested: Nested, changed: Callable[[], None]) -> Editor:
    annotation, names = about.annotation, about.extra.get("kinds", {})
    configs = [m for m in members(annotation) if is_config(m)]
    editors: Makers = {}
    if is_optional(annotation):
        editors["none"] = (names.get("none", "not set"), None)
    if configs:
        one = configs[0] if len(configs) == 1 else Union[tuple(configs)]  # noqa: UP007  made at run time
        editors["config"] = (
            names.get("config", "one"),
            partial(make_editor, about.typed(one, _kind(one)), nested, changed),
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
                partial(make_editor, about.typed(member, f"{about.label}: value"), nested, changed),
            )
    keys = list(editors)
    literals = [v for m in members(annotation) if kind_of(m) == "literal" for v in get_args(m)]
    return Choice(
        about,
        editors,
        lambda raw: kind_of_value(raw, keys, literals),
        changed,
        wide=bool(configs) or {"dict"} <= set(keys),
    )


class _Fixed(Editor):
    """A kind with a single value; there is nothing to edit."""

    def __init__(self, value: Any, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        self._value = value
        self.widget = Box()

    def get(self) -> Any:
        return self._value

    def _show(self, value: Any) -> None:
        pass


def _kind(annotation: Any) -> str:
    """Return the name for people of the choice among configs, e.g. "Kind of logger"."""
    config = next(kind for kind in members(annotation) if is_config(kind))
    tag = tag_field(config)
    return (tag and config.model_fields[tag].title) or "Kind"


def _without_none(annotation: Any) -> Any:
    kinds = members(annotation)
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007  made at run time
