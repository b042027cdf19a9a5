"""Editors of single settings: one control in a line, which may be unset."""

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

LABEL_WIDTH = "178px"
CONTROL_WIDTH = "400px"
ERROR_STYLE = "color:var(--jp-error-color1,#c62828);font-size:12px;margin-left:180px"
UNIT_STYLE = "opacity:.65;font-size:12px"

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
            line.append(W.HTML(f'<span style="{UNIT_STYLE}">{html.escape(str(unit))}</span>'))
        self.widget = W.VBox([W.HBox(line), self.message])

    def _make_control(self, label: str, field: FieldInfo) -> Any:
        common: dict[str, Any] = {
            "description": label,
            "tooltip": field.description or label,
            "style": {"description_width": LABEL_WIDTH},
            "layout": W.Layout(width=CONTROL_WIDTH),
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
        self.message.value = f'<div role="alert" style="{ERROR_STYLE}">{html.escape(text)}</div>'
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
