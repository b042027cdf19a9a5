"""What all editors of a form have in common."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from mattertune_nb.widgets.forms.about import MISSING
from mattertune_nb.widgets.page.controls import HTML, Button, VBox
from mattertune_nb.widgets.page.style import error_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mattertune_nb.widgets.forms.about import About

Path = tuple[str | int, ...]


class Editor:
    """A widget, a raw value, a default to return to, and a place for a message.

    Parameters
    ----------
    changed
        Called after the user has changed the value.
    about
        What there is to say about the setting; ``None`` if it is not a setting itself.

    Attributes
    ----------
    widget
        The widget shown.
    default
        The value as builtins to which :meth:`reset` returns; :data:`MISSING` if there is none.
    problem
        What is wrong with the current value; empty if nothing is.
    """

    wide = False
    """Whether it takes the whole width of a form rather than a column."""

    def __init__(self, changed: Callable[[], None], about: About | None = None) -> None:
        self._changed = changed
        self.about = about
        self.default: Any = MISSING
        self._silent = False
        self._message: HTML | None = None
        self._undo: Button | None = None
        self._is_marked = False
        self.problem = ""
        self.widget: Any = None

    def get(self) -> Any:
        """Return the current entry, valid or not, as builtins."""
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

    def inner_editors(self) -> Iterable[Editor]:
        """Return the editors inside this one that already exist."""
        return ()

    @property
    def is_default(self) -> bool:
        """Whether the value is the default; true if there is none."""
        return self.default is MISSING or bool(self.get() == self.default)

    def reset(self) -> None:
        """Restore the default, as if the user had done so."""
        if self.default is not MISSING:
            self.set(deepcopy(self.default))
            self._changed()

    def show_changes(self) -> None:
        """Mark what differs from its default, here and inside, with a button that restores it."""
        self._mark(not self.is_default)
        for part in self.inner_editors():
            part.show_changes()

    def find(self, text: str) -> None:
        """Open whatever contains the fields found by a search; does nothing if nothing is closed."""

    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        """Show messages beside their fields; an empty sequence removes them."""
        self._say("; ".join(text for _, text in problems))

    @property
    def line(self) -> Any:
        """The box that holds the label, and the button that restores the default."""
        return self.widget

    def focus(self) -> None:
        """Move the keyboard focus to the first control."""
        for child in self.line.children:
            if hasattr(child, "focus") and not isinstance(child, (HTML, Button)):
                child.focus()
                return

    def _mark(self, on: bool) -> None:
        if on == self._is_marked:
            return
        self._is_marked = on
        children = [child for child in self.line.children if child is not self._undo]
        if on:
            self.widget.add_class("mt-changed")
            label = self.about.label if self.about else "this"
            tip = f"Restore the default of '{label}'"
            self._undo = Button(icon="undo", tooltip=tip, css="mt-undo")
            self._undo.on_click(self._on_undo)
            # in the line of the label, before a message or a form below it
            below = (i for i, c in enumerate(children) if c is self._message or isinstance(c, VBox))
            children.insert(next(below, len(children)), self._undo)
            self.line.children = children
        elif self._undo is not None:
            self.widget.remove_class("mt-changed")
            self.line.children = children
            self._undo.close()
            self._undo = None

    def _on_undo(self, _: Any) -> None:
        self.reset()
        self.focus()  # the button is gone

    def _say(self, text: str) -> None:
        """Show a message of the editor itself, in a widget created on first use."""
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
