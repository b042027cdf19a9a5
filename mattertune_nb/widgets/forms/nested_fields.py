"""Composite editors: a form behind a switch, and a choice among several kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from typing_extensions import override

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.paths import label_of
from mattertune_nb.widgets.forms.about import MISSING
from mattertune_nb.widgets.forms.annotations import config_classes
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.fields import Simple, beside
from mattertune_nb.widgets.forms.lazy import Lazy
from mattertune_nb.widgets.page.controls import (
    HTML,
    Box,
    Checkbox,
    Dropdown,
    HBox,
    ToggleButton,
    VBox,
    shared,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mattertune_nb.widgets.forms.about import About
    from mattertune_nb.widgets.forms.editor import Path


def _set_open(box: VBox, on: bool) -> None:
    (box.remove_class if on else box.add_class)("mt-closed")


class Optional(Editor):
    """A nested form behind a switch, built when first opened."""

    wide = True

    def __init__(
        self, about: About, make: Callable[[], Editor], changed: Callable[[], None]
    ) -> None:
        super().__init__(changed, about)
        self._make = make
        self.inner: Editor | None = None
        self.switch = Checkbox(
            False, description=about.label, indent=False, layout=shared(W.Layout, width="auto")
        )
        self.switch.observe(self._on_switch, "value")
        self._place = VBox(css="mt-nested")
        self._line = HBox([self.switch, beside(about, unit=False)], css="mt-line")
        self.widget = VBox([self._line, self._place])
        self._apply_switch()

    @property
    @override
    def line(self) -> Any:
        return self._line

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [self.inner] if self.inner is not None and self.switch.value else []

    def _on_switch(self, _: Any) -> None:
        self._apply_switch()
        self._on_change()

    def _apply_switch(self) -> None:
        on = self.switch.value
        _set_open(self._place, on)
        if on and self.inner is None:
            self.inner = self._make()
        self._place.children = [self.inner.widget] if on and self.inner is not None else []

    @override
    def find(self, text: str) -> None:
        if self.inner is not None:
            self.inner.find(text)

    @override
    def get(self) -> Any:
        return self.inner.get() if self.switch.value and self.inner is not None else None

    @override
    def _show(self, value: Any) -> None:
        self.switch.value = value is not None
        if value is not None and self.inner is not None:
            self.inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        shown = self.inner is not None and self.switch.value
        if self.inner is not None:
            self.inner.show_problems(problems if shown else [])
        self._say("" if shown else "; ".join(text for _, text in problems))


class Section(Lazy):
    """A nested form behind a button, built when first opened."""

    wide = True
    css = "mt-form mt-nested mt-closed"

    def __init__(
        self, about: About, make: Callable[[], Editor], changed: Callable[[], None]
    ) -> None:
        super().__init__(make, changed, about)
        self._labels = {
            name: label_of(name, field)
            for config in config_classes(about.annotation)
            for name, field in config.model_fields.items()
        }
        self.switch = ToggleButton(
            False, description=about.label, icon="caret-right", css="mt-section"
        )
        self.switch.observe(self._on_switch, "value")
        self._place = self.widget
        self._help = about.mark()
        self.summary, self._summary = "", HTML(self._help)
        self._line = HBox([self.switch, self._summary], css="mt-line")
        self.widget = VBox([self._line, self._place], css="mt-form")

    @property
    @override
    def line(self) -> Any:
        return self._line

    @override
    def _fill(self, widget: W.Widget) -> None:
        self._place.children = [widget]

    def _on_switch(self, _: Any) -> None:
        on = self.switch.value
        self.switch.icon = "caret-down" if on else "caret-right"
        _set_open(self._place, on)
        if on:
            _ = self.inner
        self._summarise()

    def _summarise(self) -> None:
        """Show beside the closed form what differs from the default."""
        raw = self.get()
        if self.default is MISSING or self.is_default:
            text = "default settings"
        else:
            old = self.default
            changed = [(k, v) for k, v in raw.items() if k not in old or old[k] != v]
            words = [f"{self._labels.get(name, name)}: {_short(value)}" for name, value in changed]
            text = ", ".join(words) or "none"
        self.summary = text
        shown = "" if self.switch.value else f'<span class="mt-note">{escaped(text)}</span>'
        self._summary.value = self._help + shown

    @override
    def find(self, text: str) -> None:
        self.switch.value = bool(text)
        super().find(text)

    @override
    def show_changes(self) -> None:
        super().show_changes()
        self._summarise()

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        if problems:
            self.switch.value = True
        super().show_problems(problems)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return str(len(value))
    return "not set" if value is None else str(value)


class Choice(Editor):
    """A value of one of several kinds: a drop-down for the kind, and an editor for that kind.

    Parameters
    ----------
    about
        The setting.
    editors
        The text of each kind and the function that makes its editor, or none if the kind has no value.
    kind_of_raw
        Returns the kind of a raw value.
    changed
        Called after a change.
    wide
        Whether it takes the full width of a form.
    """

    def __init__(
        self,
        about: About,
        editors: dict[str, tuple[str, Callable[[], Editor] | None]],
        kind_of_raw: Callable[[Any], str],
        changed: Callable[[], None],
        *,
        wide: bool,
    ) -> None:
        super().__init__(changed, about)
        self.wide = wide
        self._editors, self._kind_of_raw = editors, kind_of_raw
        self._built: dict[str, Editor | None] = {}
        self.kind = Dropdown(
            options=[(text, key) for key, (text, _) in editors.items()],
            description=about.label,
            css="mt-control mt-kind" if wide else "mt-control",
        )
        self.kind.observe(self._on_kind, "value")
        self._beside = beside(about)
        self.widget = Box(self._children(), css="mt-field" if wide else "mt-field mt-choice")
        self._place_value()

    @property
    def inner(self) -> Editor | None:
        """The editor of the chosen kind, if it has a value."""
        key = self.kind.value
        if key not in self._built:
            make = self._editors[key][1]
            self._built[key] = None if make is None else make()
        return self._built[key]

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [] if self.inner is None else [self.inner]

    def _children(self) -> list[W.Widget]:
        if self.inner is None:
            return [self.kind, self._beside]
        if isinstance(self.inner, Simple):
            return [self.kind, self.inner.widget, self._beside]
        return [self.kind, self._beside, self.inner.widget]

    def _place_value(self) -> None:
        """Place a single-control value beside the kind rather than below it."""
        inner = self.inner
        if isinstance(inner, Simple):
            inner.be_bare()
            inner.control.add_class("mt-hidden-label")
            inner.control.style = shared(type(inner.control.style), description_width="0px")
            self.widget.add_class("mt-with-value")
        else:
            self.widget.remove_class("mt-with-value")

    def _on_kind(self, _: Any = None) -> None:
        self._place_value()
        self._mark(False)
        self.widget.children = self._children()
        self._on_change()

    @override
    def find(self, text: str) -> None:
        if self.inner is not None:
            self.inner.find(text)

    @override
    def get(self) -> Any:
        return None if self.inner is None else self.inner.get()

    @override
    def _show(self, value: Any) -> None:
        self.kind.value = self._kind_of_raw(value)
        if self.inner is not None:
            self.inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        inner = self.inner
        if isinstance(inner, Simple):
            self._say(inner.words(problems))
        elif inner is None:
            super().show_problems(problems)
        else:
            self._say("")
            inner.show_problems(problems)
