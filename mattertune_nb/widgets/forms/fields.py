"""Editors of single settings: one control in a line, which may be unset."""

from __future__ import annotations

import csv
import html
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, get_args

import yaml
from typing_extensions import override

from mattertune_nb.config.yaml import dump_yaml, load_yaml
from mattertune_nb.widgets.forms.annotations import kind_of
from mattertune_nb.widgets.page.controls import HTML, Box, Checkbox, Dropdown, Text, Textarea
from mattertune_nb.widgets.page.style import error_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]

_NOT_SET = "not set"
"""Stands for ``None`` in a drop-down, where ipywidgets takes that for no choice at all."""


class Editor:
    """What all editors share: a widget, a raw value, and a place for a message.

    Parameters
    ----------
    changed
        Called after a person has changed the value.

    Attributes
    ----------
    widget
        What is shown.
    problem
        What is wrong with the value as it stands; empty where nothing is.
    """

    wide = False
    """Whether it takes the whole width of a form and not a column."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._silent = False
        self._message: HTML | None = None
        self.problem = ""
        self.widget: Any = None

    def get(self) -> Any:
        """Return what stands in the form, valid or not, as builtins."""
        raise NotImplementedError

    def set(self, value: Any) -> None:
        """Show a value without reporting a change."""
        self._silent = True
        try:
            self._show(value)
        finally:
            self._silent = False

    def _show(self, value: Any) -> None:
        raise NotImplementedError

    def find(self, text: str) -> None:
        """Open what holds the fields that a search finds; nothing, where there is nothing to open."""

    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        """Show messages beside their fields; an empty sequence takes them away."""
        self._say("; ".join(text for _, text in problems))

    def _say(self, text: str) -> None:
        """Show a message of the editor's own, in a widget that is made once it is needed."""
        self.problem = text
        if text and self._message is None:
            self._message = HTML(css="mt-message")
        if self._message is not None:
            self._message.value = error_html(text)
            others = [child for child in self.widget.children if child is not self._message]
            self.widget.children = [*others, self._message] if text else others

    def _on_change(self, _: Any = None) -> None:
        if not self._silent:
            self._changed()


class Simple(Editor):
    """One control in one line: label, value, unit, and a message below.

    Parameters
    ----------
    label, field
        Name and description.
    annotation
        Type of the value.
    changed
        Called after a change.
    options
        Texts and values to choose from, where they can be counted.
    """

    def __init__(
        self,
        label: str,
        field: FieldInfo,
        annotation: Any,
        changed: Callable[[], None],
        options: list[tuple[str, Any]] | None = None,
    ) -> None:
        super().__init__(changed)
        self._kind = kind_of(annotation)
        if self._kind in ("list", "tuple") and any(get_args(a) for a in get_args(annotation)):
            parts = {kind_of(a) for a in get_args(annotation)}
            if parts & {"list", "tuple", "dict"}:
                self._kind = "any"
        self.options = options and [(t, _NOT_SET if v is None else v) for t, v in options]
        self.control = self._make_control(label, tooltip(label, field))
        self.control.observe(self._on_change, "value")
        self.wide = annotation is FilePath
        extra: Any = field.json_schema_extra or {}
        self.unit = str(extra.get("unit", ""))
        beside = [HTML(html.escape(self.unit), css="mt-beside")] if self.unit else []
        self.widget = Box([self.control, *beside], css="mt-field")

    def _make_control(self, label: str, tip: str) -> Any:
        common: dict[str, Any] = {
            "description": label,
            "tooltip": tip,
            "css": "mt-control",
        }
        if self.options is not None:
            return Dropdown(options=self.options, **common)
        if self._kind == "bool":
            return Checkbox(False, **common)
        if self._kind in ("int", "float", "str", "list", "tuple"):
            hint = "values, separated by commas" if self._kind in ("list", "tuple") else ""
            return Text(continuous_update=False, placeholder=hint, **common)
        return Textarea(continuous_update=False, rows=3, placeholder="name: value", **common)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        self._say(self.words(problems))

    def words(self, problems: Sequence[tuple[Path, str]]) -> str:
        """Return problems in a line; of an empty field there is only one thing to say."""
        if problems and self.control.value == "" and self._kind in ("int", "float"):
            return "enter a number"
        return "; ".join(text for _, text in problems)

    @override
    def get(self) -> Any:
        value = self.control.value
        if self.options is not None or self._kind == "bool":
            return None if value is _NOT_SET else value
        if self._kind in ("int", "float"):
            return _number(value, self._kind)
        if self._kind in ("list", "tuple"):
            return _items(value)
        return value if self._kind == "str" else _yaml(value)

    @override
    def _show(self, value: Any) -> None:
        if self.options is not None or self._kind == "bool":
            self.control.value = _NOT_SET if value is None else value
        elif self._kind in ("list", "tuple"):
            self.control.value = _joined(value or ())
        elif self._kind in ("int", "float", "str"):
            self.control.value = "" if value is None else str(value)
        elif value is None or value == {}:
            self.control.value = ""
        else:
            self.control.value = dump_yaml(value).strip()

    def make_room(self) -> None:
        """Take the unit from beside the control into its tooltip."""
        if len(self.widget.children) > 1:
            self.control.tooltip += f" Unit: {self.unit}."
            self.widget.children = [self.control]

    def relabel(self, options: list[tuple[str, Any]]) -> None:
        """Show other texts for the same options of a drop-down."""
        self._silent = True
        value = self.control.value
        self.options = options
        self.control.options = options
        self.control.value = value
        self._silent = False


class OptionalValue(Editor):
    """A single control with a switch beside it: 'not set' is a state of its own, and no zero."""

    def __init__(self, inner: Simple, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        self.inner = inner
        self._empty: str | None = None
        name = html.escape(inner.control.description)
        self.switch = Checkbox(
            False,
            description=f'set<span class="mt-hidden-text"> {name}</span>',
            description_allow_html=True,
            tooltip=f"Whether '{inner.control.description}' is set",
            indent=False,
            css="mt-beside",
        )
        self.switch.observe(self._on_switch, "value")
        self._placeholder = f"in {inner.unit}" if inner.unit else ""
        inner.make_room()
        self.widget = inner.widget
        self.widget.children = [inner.control, self.switch]
        self._apply_switch()

    def _on_switch(self, _: Any) -> None:
        self._apply_switch()
        self._on_change()

    def _apply_switch(self) -> None:
        on = self.switch.value
        self.inner.control.disabled = not on
        self.inner.control.placeholder = self._placeholder if on else "not set"

    @override
    def get(self) -> Any:
        value = self.inner.get() if self.switch.value else None
        # switched on, and nothing entered yet
        return self._empty if value == "" else value

    @override
    def _show(self, value: Any) -> None:
        self._empty = "" if value == "" else None
        self.switch.value = value is not None
        if value is not None:
            self.inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        self.inner.show_problems(problems)


class FromPython(Editor):
    """Shows how many structures there are, which only Python can give."""

    wide = True

    def __init__(self, label: str, field: FieldInfo, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        self._raw: list[Any] = []
        self.control = Text(
            disabled=True, description=label, tooltip=tooltip(label, field), css="mt-control"
        )
        self.widget = Box([self.control], css="mt-field")

    @override
    def get(self) -> Any:
        return self._raw

    @override
    def _show(self, value: Any) -> None:
        self._raw = value
        self.control.value = f"{len(value)} structures, given in Python"

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        if problems and not self._raw:
            self._say("give them from Python, by setting the form's config")
        else:
            super().show_problems(problems)


def tooltip(label: str, field: FieldInfo) -> str:
    """Return a field's description with its bounds and its default."""
    bounds = []
    for mark in field.metadata:
        for name, words in (
            ("ge", "at least"),
            ("gt", "above"),
            ("le", "at most"),
            ("lt", "below"),
        ):
            bound = getattr(mark, name, None)
            if bound is not None:
                bounds.append(f"{words} {bound:g}")
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    parts = [field.description or label]
    if bounds:
        parts.append(f"{' and '.join(bounds).capitalize()}.")
    if isinstance(default, (bool, int, float, str)) and default != "":
        parts.append(f"Default: {default}.")
    return " ".join(parts)


def _number(text: str, kind: str) -> Any:
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return text  # the config says what is wrong with it


def _items(text: str) -> list[str]:
    """Return the parts of a comma-separated line; a part may stand in quotation marks."""
    rows = list(csv.reader([text], skipinitialspace=True))
    # the reader does not say which parts were quoted, and only in those do outer spaces count
    return [part if _quoted(part) in text else part.strip() for part in rows[0]] if rows else []


def _joined(values: Sequence[Any]) -> str:
    texts = [str(value) for value in values]
    return ", ".join(
        _quoted(t) if t != t.strip() or not t or set(t) & set(',"') else t for t in texts
    )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _yaml(text: str) -> Any:
    try:
        value = load_yaml(text)
    except yaml.YAMLError:
        return text
    return {} if value is None else value
