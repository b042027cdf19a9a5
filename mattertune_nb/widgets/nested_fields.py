"""Editors made of others: a form behind a switch, one of several kinds, rows of a list."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from typing_extensions import override

from mattertune_nb.widgets.fields import (
    CONTROL_WIDTH,
    ERROR_STYLE,
    LABEL_WIDTH,
    UNIT_STYLE,
    Editor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic.fields import FieldInfo

    from mattertune_nb.widgets.fields import Path

_NESTED = W.Layout(
    border_left="3px solid var(--jp-border-color2, #bbb)",
    margin="2px 0 6px 8px",
    padding="0 0 0 8px",
)


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
        self._off = W.HTML(f'<span style="{UNIT_STYLE}">not set</span>')
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
            style={"description_width": LABEL_WIDTH},
            layout=W.Layout(width=CONTROL_WIDTH),
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
            f'<div role="alert" style="{ERROR_STYLE}">{html.escape(own)}</div>' if own else ""
        )
