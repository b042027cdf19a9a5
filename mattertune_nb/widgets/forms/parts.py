"""Settings from several sections of a run's config that are shown together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.form import ConfigEditor
from mattertune_nb.widgets.forms.lazy import Disclosure
from mattertune_nb.widgets.forms.search import basic_fields, is_found
from mattertune_nb.widgets.page.controls import VBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import ipywidgets as W  # noqa: N812  the usual alias
    from pydantic import BaseModel

    from mattertune_nb.widgets.forms.editor import Path

Placement = dict[str, tuple[type["BaseModel"], tuple[str, ...]]]
"""For each section of a run's config its class, and the fields that are shown together."""


class Parts(Editor):
    """Fields from several sections of a run's config; its value is a mapping of sections.

    Parameters
    ----------
    placement
        The fields.
    changed
        Called after a change.
    built
        Called with the editor of each section.
    """

    def __init__(
        self,
        placement: Placement,
        changed: Callable[[], None],
        built: Callable[[ConfigEditor], None],
    ) -> None:
        super().__init__(changed)
        self.editors = {
            part: ConfigEditor(cls, changed, prefix=f"{part}.", only=names)
            for part, (cls, names) in placement.items()
        }
        for editor in self.editors.values():
            built(editor)
        self.widget = VBox([editor.widget for editor in self.editors.values()], css="mt-form")

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return self.editors.values()

    @override
    def get(self) -> dict[str, dict[str, Any]]:
        return {part: editor.get() for part, editor in self.editors.items()}

    @override
    def _show(self, value: Any) -> None:
        for part, editor in self.editors.items():
            editor.set(value[part])

    @override
    def find(self, text: str) -> None:
        for editor in self.editors.values():
            editor.find(text)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        for part, editor in self.editors.items():
            editor.show_problems([(p[1:], text) for p, text in problems if p[:1] == (part,)])


class PartsTab(Editor):
    """The basic settings of some sections of a run, and the others behind a button.

    Parameters
    ----------
    placement, changed, built
        As for :class:`Parts`.
    note
        Widget below the basic settings.
    """

    def __init__(
        self,
        placement: Placement,
        changed: Callable[[], None],
        built: Callable[[ConfigEditor], None],
        note: W.Widget,
    ) -> None:
        super().__init__(changed)
        basic = {
            part: (cls, tuple(basic_fields(cls, names))) for part, (cls, names) in placement.items()
        }
        others: Placement = {
            part: (cls, tuple(name for name in names if name not in basic[part][1]))
            for part, (cls, names) in placement.items()
        }
        self._others = {part: value for part, value in others.items() if value[1]}
        self.first = Parts({p: v for p, v in basic.items() if v[1]}, changed, built)
        self.rest = Disclosure("All settings", lambda: Parts(self._others, changed, built), changed)
        # a few settings need no headings
        self.first.widget.add_class("mt-basic")
        self.widget = VBox([self.first.widget, note, self.rest.widget], css="mt-form")

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [self.first, self.rest]

    @override
    def get(self) -> dict[str, dict[str, Any]]:
        return joined(self.first.get(), self.rest.get() or {})

    @override
    def _show(self, value: Any) -> None:
        self.first.set(value)
        self.rest.set(
            {
                part: {name: value[part][name] for name in names}
                for part, (_, names) in self._others.items()
            }
        )

    def editor(self, part: str, name: str) -> Editor:
        """Return the editor of a setting."""
        is_first = name not in self._others.get(part, ((), ()))[1]
        parts: Parts = self.first if is_first else self.rest.inner
        return parts.editors[part].editors[name]

    @override
    def find(self, text: str) -> None:
        self.first.find(text)
        hits = any(
            is_found(name, cls.model_fields[name], text)
            for cls, names in self._others.values()
            for name in names
        )
        self.rest.find(text if hits else "")

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        others = [
            (p, text)
            for p, text in problems
            if len(p) > 1 and p[1] in self._others.get(str(p[0]), ((), ()))[1]
        ]
        self.first.show_problems([problem for problem in problems if problem not in others])
        self.rest.show_problems(others)


def joined(*values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of sections that are spread over several places."""
    parts = dict.fromkeys(part for value in values for part in value)
    return {
        part: {k: v for value in values for k, v in value.get(part, {}).items()} for part in parts
    }
