"""Editors of single settings: one control per line, which may be unset."""

from __future__ import annotations

import csv
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, get_args

import yaml
from typing_extensions import override

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.yaml import dump_yaml, load_yaml
from mattertune_nb.widgets.forms.annotations import kind_of, members
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.page.controls import HTML, Box, Checkbox, Dropdown, Text, Textarea
from mattertune_nb.widgets.page.path_ends import PATH_FIELD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mattertune_nb.widgets.forms.about import About
    from mattertune_nb.widgets.forms.editor import Path

_NOT_SET = "not set"
"""Stands for ``None`` in a drop-down, where ipywidgets would treat that as no selection."""


class Simple(Editor):
    """One control per line: label, value, unit, the help mark, and a message below.

    Parameters
    ----------
    about
        The setting.
    changed
        Called after a change.
    options
        Texts and values to choose from, if there are finitely many.
    """

    def __init__(
        self,
        about: About,
        changed: Callable[[], None],
        options: list[tuple[str, Any]] | None = None,
    ) -> None:
        super().__init__(changed, about)
        annotation = about.annotation
        self._kind = kind_of(annotation)
        items = [kind_of(a) for a in get_args(members(annotation)[0]) if a is not Ellipsis]
        self._item = items[0] if self._kind in ("list", "tuple") and items else "str"
        if self._kind in ("list", "tuple") and any(get_args(a) for a in get_args(annotation)):
            parts = {kind_of(a) for a in get_args(annotation)}
            if parts & {"list", "tuple", "dict"}:
                self._kind = "any"
        self.options = options and [(t, _NOT_SET if v is None else v) for t, v in options]
        self.control = self._make_control(about.label, is_path=FilePath in members(annotation))
        self.control.observe(self._on_change, "value")
        self.wide = annotation is FilePath
        self.unit = about.unit
        self.widget = Box([self.control, beside(about)], css="mt-field")

    def _make_control(self, label: str, *, is_path: bool) -> Any:
        common: dict[str, Any] = {"description": label, "css": "mt-control"}
        if self.options is not None:
            return Dropdown(options=self.options, **common)
        if self._kind == "bool":
            return Checkbox(False, **common)
        if self._kind in ("int", "float", "str", "list", "tuple"):
            hint = "a, b, …" if self._kind in ("list", "tuple") else ""
            if is_path:
                common["css"] += f" {PATH_FIELD}"
            return Text(continuous_update=False, placeholder=hint, **common)
        return Textarea(continuous_update=False, rows=3, placeholder="name: value", **common)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        self._say(self.words(problems))

    def words(self, problems: Sequence[tuple[Path, str]]) -> str:
        """Return the problems in a line; for an empty field only that it is empty."""
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
            return [_number(item, self._item) for item in _items(value)]
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

    def be_bare(self) -> None:
        """Leave out unit and help if the control stands beside another that has them."""
        marks = self.widget.children[1:]
        self.widget.children = [self.control]
        for mark in marks:
            mark.close()

    def relabel(self, options: list[tuple[str, Any]]) -> None:
        """Change the texts of the options of a drop-down."""
        self._silent = True
        value = self.control.value
        self.options = options
        self.control.options = options
        self.control.value = value
        self._silent = False


class OptionalValue(Editor):
    """A single control with a switch beside it, because 'not set' differs from zero."""

    def __init__(self, inner: Simple, changed: Callable[[], None]) -> None:
        super().__init__(changed, inner.about)
        self.inner = inner
        self._empty: str | None = None
        self.switch = Checkbox(
            False,
            description=f"set {inner.control.description}",  # the page shows only the first word
            indent=False,
            css="mt-set",
        )
        self.switch.observe(self._on_switch, "value")
        self._placeholder = f"in {inner.unit}" if inner.unit else ""
        self.widget = inner.widget
        control, mark = inner.widget.children
        mark.add_class("mt-mark")
        self.widget.children = [control, self.switch, mark]
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
        # switched on, but nothing entered yet
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
    """Shows how many structures, or which named sets, were given in YAML or Python."""

    wide = True

    def __init__(self, about: About, changed: Callable[[], None]) -> None:
        super().__init__(changed, about)
        self._raw: list[Any] = []
        self.control = Text(disabled=True, description=about.label, css="mt-control")
        self.widget = Box([self.control, beside(about)], css="mt-field")

    @override
    def get(self) -> Any:
        return self._raw

    @override
    def _show(self, value: Any) -> None:
        self._raw = value
        if isinstance(value, dict):
            self.control.value = f"{', '.join(value)}, given in YAML or Python"
        else:
            self.control.value = f"{len(value)} structures, given in Python"

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        if problems and not self._raw:
            self._say("set them in Python through the form's config")
        else:
            super().show_problems(problems)


def beside(about: About, *, unit: bool = True) -> HTML:
    """Return what stands beside a control: the unit and the help mark."""
    text = f'<span class="mt-unit">{escaped(about.unit)}</span>' if unit else ""
    return HTML(text + about.mark(), css="mt-beside" if unit else "mt-mark")


def _number(text: str, kind: str) -> Any:
    if kind not in ("int", "float"):
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return text  # the config reports what is wrong with it


def _items(text: str) -> list[str]:
    """Return the parts of a comma-separated line; parts may be quoted."""
    rows = list(csv.reader([text], skipinitialspace=True))
    # the reader does not say which parts were quoted, and outer spaces count only in those
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
