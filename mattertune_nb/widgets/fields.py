"""Editors of single settings: one control, a value that may be unset, one of several kinds, rows."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import ipywidgets as W  # noqa: N812  the usual alias
import yaml
from typing_extensions import override

from mattertune_nb.widgets.annotations import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic.fields import FieldInfo

_LABEL = "178px"
_WIDTH = "400px"
_ERROR = "color:var(--jp-error-color1,#c62828);font-size:12px;margin-left:180px"
_UNIT = "opacity:.65;font-size:12px"

_NESTED = W.Layout(
    border_left="3px solid var(--jp-border-color2, #bbb)",
    margin="2px 0 6px 8px",
    padding="0 0 0 8px",
)

Path = tuple[str | int, ...]


class Editor:
    """What all editors share: a widget, a raw value, and a place for a message.

    Parameters
    ----------
    changed
        Called after a person has changed the value.
    """

    wide = False
    """Whether it takes the whole width of a form and not a column."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._silent = False
        self.widget: W.DOMWidget = W.VBox()

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

    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        """Show messages beside their fields; an empty sequence takes them away."""

    def _on_change(self, _: Any = None) -> None:
        if not self._silent:
            self._changed()


class Simple(Editor):
    """One control in one line: label, value, unit, and a message below."""

    def __init__(
        self, label: str, field: FieldInfo, annotation: Any, changed: Callable[[], None]
    ) -> None:
        super().__init__(changed)
        self._kind = kind_of(annotation)
        self._options = list(get_args(annotation)) if get_origin(annotation) is Literal else None
        self.control = self._make_control(label, field)
        self.control.observe(self._on_change, "value")
        self.message = W.HTML(layout=W.Layout(display="none"))
        unit = (field.json_schema_extra or {}).get("unit") if field.json_schema_extra else None  # type: ignore[union-attr]
        line = [self.control]
        if unit:
            line.append(W.HTML(f'<span style="{_UNIT}">{html.escape(str(unit))}</span>'))
        self.widget = W.VBox([W.HBox(line), self.message])

    def _make_control(self, label: str, field: FieldInfo) -> Any:
        common: dict[str, Any] = {
            "description": label,
            "tooltip": field.description or label,
            "style": {"description_width": _LABEL},
            "layout": W.Layout(width=_WIDTH),
        }
        if self._options is not None:
            return W.Dropdown(options=[(str(o), o) for o in self._options], **common)
        if self._kind == "bool":
            return W.Checkbox(False, **common)
        if self._kind in ("int", "float", "str", "list", "tuple"):
            return W.Text(continuous_update=False, **common)
        return W.Textarea(continuous_update=False, rows=3, placeholder="YAML", **common)

    @override
    def get(self) -> Any:
        value = self.control.value
        if self._options is not None or self._kind == "bool":
            return value
        if self._kind in ("int", "float"):
            return _number(value, self._kind)
        if self._kind in ("list", "tuple"):
            return _yaml(f"[{value}]")
        return value if self._kind == "str" else _yaml(value)

    @override
    def _show(self, value: Any) -> None:
        if self._options is not None or self._kind == "bool":
            self.control.value = value
        elif self._kind in ("list", "tuple"):
            self.control.value = ", ".join(map(_text, value or ()))
        elif self._kind in ("int", "float", "str"):
            self.control.value = _text(value)
        else:
            self.control.value = "" if not value else yaml.safe_dump(value, sort_keys=False).strip()

    def relabel(self, options: list[tuple[str, Any]]) -> None:
        """Show other texts for the same options of a drop-down."""
        self._silent = True
        value = self.control.value
        self.control.options = options
        self.control.value = value
        self._silent = False

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        text = "; ".join(message for _, message in problems)
        self.message.value = f'<div role="alert" style="{_ERROR}">{html.escape(text)}</div>'
        self.message.layout.display = None if text else "none"


class OptionalValue(Editor):
    """A single control with a switch beside it: 'not set' is a state of its own, and no zero."""

    def __init__(self, inner: Simple, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        self.inner = inner
        name = inner.control.description
        self.switch = W.Checkbox(
            False,
            description="set",
            tooltip=f"Whether '{name}' is set",
            indent=False,
            layout=W.Layout(width="55px"),
        )
        self.switch.observe(self._on_switch, "value")
        line, message = inner.widget.children
        self.widget = W.VBox([W.HBox([*line.children, self.switch]), message])
        self._apply_switch()

    def _on_switch(self, _: Any) -> None:
        self._apply_switch()
        self._on_change()

    def _apply_switch(self) -> None:
        on = self.switch.value
        self.inner.control.disabled = not on
        if hasattr(self.inner.control, "placeholder"):
            self.inner.control.placeholder = "" if on else "not set"
        if not on:
            self.inner.show_problems([])

    @override
    def get(self) -> Any:
        value = self.inner.get() if self.switch.value else None
        # switched on, and nothing entered yet
        return None if value == "" else value

    @override
    def _show(self, value: Any) -> None:
        self.switch.value = value is not None
        if value is not None:
            self.inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        self.inner.show_problems(problems)


class Optional(Editor):
    """A form of its own behind a switch, built when it is first opened."""

    wide = True

    def __init__(
        self, label: str, field: FieldInfo, make: Callable[[], Editor], changed: Callable[[], None]
    ) -> None:
        super().__init__(changed)
        self._make = make
        self.inner: Editor | None = None
        self.switch = W.Checkbox(
            False,
            description=label,
            tooltip=field.description or label,
            indent=False,
            layout=W.Layout(width="auto"),
        )
        self.switch.observe(self._on_switch, "value")
        self._off = W.HTML(f'<span style="{_UNIT}">not set</span>')
        self._place = W.VBox(layout=_NESTED)
        self.widget = W.VBox([W.HBox([self.switch, self._off]), self._place])
        self._apply_switch()

    def _on_switch(self, _: Any) -> None:
        self._apply_switch()
        self._on_change()

    def _apply_switch(self) -> None:
        on = self.switch.value
        self._off.layout.display = "none" if on else None
        self._place.layout.display = None if on else "none"
        if on and self.inner is None:
            self.inner = self._make()
        self._place.children = [self.inner.widget] if on and self.inner is not None else []

    @override
    def get(self) -> Any:
        value = self.inner.get() if self.switch.value and self.inner is not None else None
        return None if value == "" else value

    @override
    def _show(self, value: Any) -> None:
        self.switch.value = value is not None
        if value is not None and self.inner is not None:
            self.inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        if self.inner is not None and self.switch.value:
            self.inner.show_problems(problems)


class Choice(Editor):
    """A value of one of several kinds: a drop-down for the kind and an editor of that kind."""

    def __init__(
        self,
        label: str,
        field: FieldInfo,
        editors: dict[str, tuple[str, Callable[[], Editor]]],
        kind_of_raw: Callable[[Any], str],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(changed)
        self.wide = "config" in editors
        self._editors, self._kind_of_raw = editors, kind_of_raw
        self._built: dict[str, Editor] = {}
        self.kind = W.Dropdown(
            options=[(text, key) for key, (text, _) in editors.items()],
            description=label,
            tooltip=field.description or label,
            style={"description_width": _LABEL},
            layout=W.Layout(width=_WIDTH),
        )
        self.kind.observe(self._on_kind, "value")
        self._place = W.VBox(layout=W.Layout(width="100%"))
        self.widget = W.VBox([self.kind, self._place], layout=W.Layout(width="100%"))
        self._place.children = [self.inner.widget]

    @property
    def inner(self) -> Editor:
        """The editor of the kind that is chosen."""
        key = self.kind.value
        if key not in self._built:
            self._built[key] = self._editors[key][1]()
        return self._built[key]

    def _on_kind(self, _: Any = None) -> None:
        self._place.children = [self.inner.widget]
        self._on_change()

    @override
    def get(self) -> Any:
        return self.inner.get()

    @override
    def _show(self, value: Any) -> None:
        self.kind.value = self._kind_of_raw(value)
        self.inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        self.inner.show_problems(problems)


class Rows(Editor):
    """A list of configs, with buttons to add and remove."""

    wide = True

    def __init__(
        self, label: str, field: FieldInfo, make: Callable[[], Editor], changed: Callable[[], None]
    ) -> None:
        super().__init__(changed)
        self._make = make
        self._rows: list[Editor] = []
        self._place = W.VBox()
        self.add_button = W.Button(
            description=f"Add to {label}", icon="plus", tooltip=field.description or label
        )
        self.add_button.on_click(lambda _: self._add())
        self.message = W.HTML()
        title = W.HTML(
            f'<b title="{html.escape(field.description or "")}">{html.escape(label)}</b>'
        )
        self.widget = W.VBox([title, self._place, self.add_button, self.message])

    def _add(self) -> None:
        self._rows.append(self._make())
        self._layout()
        self._on_change()

    def _remove(self, editor: Editor) -> None:
        self._rows.remove(editor)
        self._layout()
        self._on_change()

    def _layout(self) -> None:
        children = []
        for number, editor in enumerate(self._rows, 1):
            remove = W.Button(
                icon="trash", tooltip=f"Remove number {number}", layout=W.Layout(width="38px")
            )
            remove.on_click(lambda _, e=editor: self._remove(e))
            editor.widget.layout.flex = "1 1 auto"
            children.append(W.HBox([remove, editor.widget], layout=_NESTED))
        self._place.children = children

    @override
    def get(self) -> Any:
        return [row.get() for row in self._rows]

    @override
    def _show(self, value: Any) -> None:
        values = list(value or [])
        while len(self._rows) < len(values):
            self._rows.append(self._make())
        del self._rows[len(values) :]
        for row, item in zip(self._rows, values, strict=True):
            row.set(item)
        self._layout()

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        for i, row in enumerate(self._rows):
            row.show_problems([(p[1:], text) for p, text in problems if p[:1] == (i,)])
        own = "; ".join(text for p, text in problems if not p)
        self.message.value = (
            f'<div role="alert" style="{_ERROR}">{html.escape(own)}</div>' if own else ""
        )


def _number(text: str, kind: str) -> Any:
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return text  # the config says what is wrong with it


def _text(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.6g}"
    return "" if value is None else str(value)


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text) or ([] if text.startswith("[") else {})
    except yaml.YAMLError:
        if text.startswith("["):
            # a pattern such as *embedding* is an alias to YAML
            return [part.strip() for part in text[1:-1].split(",")]
        return text
