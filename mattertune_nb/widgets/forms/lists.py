"""Editors of lists of configs, with rows that are added and removed; single or one list per key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from typing_extensions import override

from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.fields import beside
from mattertune_nb.widgets.page.controls import Button, HBox, VBox, shared
from mattertune_nb.widgets.page.lifetime import close_with_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mattertune_nb.widgets.forms.about import About
    from mattertune_nb.widgets.forms.editor import Path


class Rows(Editor):
    """A list of configs, with buttons to add and remove."""

    wide = True

    def __init__(
        self, about: About, make: Callable[[], Editor], changed: Callable[[], None]
    ) -> None:
        super().__init__(changed, about)
        label = about.label
        self._make, self._label = make, label[:1].lower() + label[1:]
        self.rows: list[Editor] = []
        self._lines: dict[Editor, HBox] = {}
        self._place = VBox(layout=shared(W.Layout, width="100%", overflow="visible"))
        self.add_button = Button(
            description=f"Add to {self._label}",
            icon="plus",
            css="mt-add",
        )
        self.add_button.on_click(lambda _: self._add())
        self._line = HBox([self.add_button, beside(about, unit=False)], css="mt-line")
        self.widget = VBox([self._place, self._line])

    @property
    @override
    def line(self) -> Any:
        return self._line

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return self.rows

    def _add(self) -> None:
        self.rows.append(self._make())
        self._layout()
        self._on_change()

    def _remove(self, editor: Editor) -> None:
        self.rows.remove(editor)
        self._layout()
        self._on_change()

    def _layout(self) -> None:
        before = self._lines
        self._lines = {e: before.get(e) or self._make_line(e) for e in self.rows}
        for number, line in enumerate(self._lines.values(), 1):
            line.children[1].tooltip = f"Remove number {number} of {self._label}"
        self._place.children = list(self._lines.values())
        for editor, line in before.items():
            if editor not in self._lines:
                close_with_parts(line)

    def _make_line(self, editor: Editor) -> HBox:
        remove = Button(icon="trash", layout=shared(W.Layout, width="36px", flex="0 0 36px"))
        remove.on_click(lambda _: self._remove(editor))
        layout = shared(W.Layout, overflow="visible")
        return HBox([editor.widget, remove], layout=layout, css="mt-nested")

    @override
    def get(self) -> Any:
        return [row.get() for row in self.rows]

    @override
    def _show(self, value: Any) -> None:
        values = list(value or [])
        while len(self.rows) < len(values):
            self.rows.append(self._make())
        del self.rows[len(values) :]
        for row, item in zip(self.rows, values, strict=True):
            row.set(item)
        self._layout()

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        for i, row in enumerate(self.rows):
            row.show_problems([(p[1:], text) for p, text in problems if p[:1] == (i,)])
        own = "; ".join(text for p, text in problems if not p or p[0] not in range(len(self.rows)))
        self._say(own)


class Keyed(Editor):
    """A mapping with known keys: one list editor per key."""

    wide = True

    def __init__(self, keys: Sequence[str], make: Callable[[str], Rows], changed: Any) -> None:
        super().__init__(changed)
        self.rows = {key: make(key) for key in keys}
        self._given: set[str] = set()
        self.widget = VBox([rows.widget for rows in self.rows.values()])

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return self.rows.values()

    @override
    def get(self) -> Any:
        values = {key: rows.get() for key, rows in self.rows.items()}
        return {key: value for key, value in values.items() if value or key in self._given}

    @override
    def _show(self, value: Any) -> None:
        self._given = set(value)
        for key, rows in self.rows.items():
            rows.set(value.get(key))

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        for key, rows in self.rows.items():
            rows.show_problems([(p[1:], text) for p, text in problems if p[:1] == (key,)])
        own = "; ".join(text for p, text in problems if not p or p[0] not in self.rows)
        self._say(own)
