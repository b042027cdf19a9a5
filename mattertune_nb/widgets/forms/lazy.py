"""Parts of a form that are built when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.page.controls import ToggleButton, VBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ipywidgets import Widget

    from mattertune_nb.widgets.forms.about import About
    from mattertune_nb.widgets.forms.editor import Path


class Lazy(Editor):
    """Holds a value until its editor is needed, because hundreds of widgets take time to build.

    Parameters
    ----------
    make
        Creates the editor.
    changed
        Called after a change.
    """

    css: ClassVar[str] = "mt-form"

    def __init__(
        self, make: Callable[[], Editor], changed: Callable[[], None], about: About | None = None
    ) -> None:
        super().__init__(changed, about)
        self._make = make
        self._raw: Any = None
        self._inner: Editor | None = None
        self.widget = VBox(css=self.css)

    @property
    def built(self) -> bool:
        """Whether the editor exists."""
        return self._inner is not None

    @property
    def inner(self) -> Any:
        """The editor, created now if necessary."""
        if self._inner is None:
            self._inner = self._make()
            if self._raw is not None:
                self._inner.set(self._raw)
                self._inner.show_changes()
            self._fill(self._inner.widget)
        return self._inner

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [] if self._inner is None else [self._inner]

    def _fill(self, widget: Widget) -> None:
        self.widget.children = [widget]

    @override
    def find(self, text: str) -> None:
        if text or self.built:
            self.inner.find(text)

    @override
    def get(self) -> Any:
        return self._raw if self._inner is None else self._inner.get()

    @override
    def _show(self, value: Any) -> None:
        self._raw = value
        if self._inner is not None:
            self._inner.set(value)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        if problems or self.built:
            self.inner.show_problems(problems)


class Disclosure(Lazy):
    """Rarely used settings behind a button.

    Parameters
    ----------
    label
        Text of the button.
    make, changed
        As for all lazily built parts.
    """

    wide = True

    def __init__(self, label: str, make: Callable[[], Editor], changed: Callable[[], None]) -> None:
        super().__init__(make, changed)
        self.switch = ToggleButton(False, description=label, icon="caret-right", css="mt-section")
        self.switch.observe(self._on_switch, "value")
        self._place = self.widget
        self._place.add_class("mt-closed")
        self.widget = VBox([self.switch, self._place], css="mt-form")

    @override
    def _fill(self, widget: Widget) -> None:
        self._place.children = [widget]

    def _on_switch(self, change: Any) -> None:
        self.switch.icon = "caret-down" if change["new"] else "caret-right"
        (self._place.remove_class if change["new"] else self._place.add_class)("mt-closed")
        if change["new"]:
            _ = self.inner

    @override
    def find(self, text: str) -> None:
        self.switch.value = bool(text)
        super().find(text)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        if problems:
            self.switch.value = True
        super().show_problems(problems)
