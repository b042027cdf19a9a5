"""Widgets that are closed when their cell is executed again, so that repeated execution leaks none."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.ipython import ipython_shell
from mattertune_nb.widgets.page.connection import keep_connection
from mattertune_nb.widgets.page.controls import is_shared
from mattertune_nb.widgets.page.front_end import has_front_end

if TYPE_CHECKING:
    from collections.abc import Sequence

_shown: dict[str, tuple[Any, list[weakref.ref[Any]]]] = {}
"""For each cell, the execution that showed widgets, and these widgets."""


class ClosedOnRerun:
    """Mix-in for a widget whose parts are closed when its cell shows another in its place."""

    closed = False

    def _ipython_display_(self, **kwargs: Any) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(**kwargs), raw=True)  # type: ignore[attr-defined]
        remember(self)

    def close(self) -> None:
        """Close the widget and everything in it that no other cell shows."""
        self.closed = True
        for part in _own_parts(self):
            if part is not self:
                part.close()
        super().close()  # type: ignore[misc]


def remember(widget: Any) -> None:
    """Record that a cell shows a widget, and close what an earlier execution of the cell showed.

    Widgets that another cell shows too, or that are shown again, stay open.
    """
    where = _execution()
    if where is None:
        return
    if has_front_end():
        keep_connection()
    cell, execution = where
    last, earlier = _shown.get(cell, (None, []))
    kept = earlier if last == execution else []
    _shown[cell] = (execution, [*kept, weakref.ref(widget)])
    if last == execution:
        return
    for ref in earlier:
        old = ref()
        if old is not None and not is_shown(old):
            old.close()


def is_shown(widget: W.Widget) -> bool:
    """Return whether a cell shows a widget, by itself or as part of another."""
    return any(widget is part for shown in _all_shown() for part in parts(shown))


def close_with_parts(widget: W.Widget) -> None:
    """Close a widget that is no longer needed, and everything in it that no cell shows."""
    for part in _own_parts(widget):
        part.close()


def _all_shown() -> list[W.Widget]:
    """Return the widgets shown in cells."""
    widgets = [ref() for _, refs in list(_shown.values()) for ref in refs]
    return [widget for widget in widgets if widget is not None]


def _own_parts(widget: W.Widget) -> list[W.Widget]:
    """Return a widget and its parts, except those that others need."""
    others = [shown for shown in _all_shown() if shown is not widget]
    return [part for part in parts(widget, without=others) if not is_shared(part)]


def parts(widget: W.Widget, without: Sequence[W.Widget] = ()) -> list[W.Widget]:
    """Return a widget and everything its traits hold or a box showed before, except some with their parts."""
    found: dict[int, W.Widget] = {}
    left_out = {id(other) for other in without}
    waiting: list[Any] = [widget]
    while waiting:
        item = waiting.pop()
        if isinstance(item, W.Widget):
            if id(item) in found or id(item) in left_out:
                continue
            found[id(item)] = item
            # a trait that was never accessed has not created its widget yet
            waiting += [*item._trait_values.values(), getattr(item, "once_shown", ())]
        elif isinstance(item, (list, tuple)):
            waiting += item
    return list(found.values())


def _execution() -> tuple[str, Any] | None:
    """Return the cell being executed and the number of its message, if known."""
    kernel = getattr(ipython_shell(), "kernel", None)
    if kernel is None:
        return None
    parent = kernel.get_parent("shell") or {}
    cell = (parent.get("metadata") or {}).get("cellId")
    return None if cell is None else (cell, parent.get("header", {}).get("msg_id"))
