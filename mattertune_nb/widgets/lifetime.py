"""Widgets that go when their cell is executed again, so that a hundred executions leak none."""

from __future__ import annotations

import sys
import weakref
from typing import Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.widgets.controls import is_shared

_shown: dict[str, tuple[Any, list[weakref.ref[Any]]]] = {}
"""What each cell shows: the execution that showed it, and its widgets."""


class ClosedOnRerun:
    """Mix-in for a widget whose parts are closed once its cell shows another in its place."""

    closed = False

    def _ipython_display_(self, **kwargs: Any) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(**kwargs), raw=True)  # type: ignore[attr-defined]
        remember(self)

    def close(self) -> None:
        """Close the widget and everything in it."""
        self.closed = True
        for part in parts(self):
            if part is not self and not is_shared(part):
                part.close()
        super().close()  # type: ignore[misc]


def remember(widget: Any) -> None:
    """Note that a cell shows a widget, and close what an earlier execution of it showed.

    What another cell shows too, or what is shown again, stays.
    """
    where = _execution()
    if where is None:
        return
    cell, execution = where
    last, earlier = _shown.get(cell, (None, []))
    kept = earlier if last == execution else []
    _shown[cell] = (execution, [*kept, weakref.ref(widget)])
    if last == execution:
        return
    still = {id(ref()) for _, refs in _shown.values() for ref in refs}
    for ref in earlier:
        old = ref()
        if old is not None and id(old) not in still:
            old.close()


def parts(widget: W.Widget) -> list[W.Widget]:
    """Return a widget and all widgets that its traits hold."""
    found: list[W.Widget] = []
    waiting: list[Any] = [widget]
    while waiting:
        item = waiting.pop()
        if isinstance(item, W.Widget):
            if item in found:
                continue
            found.append(item)
            # a trait that was never asked for has made no widget yet
            waiting += list(item._trait_values.values())
        elif isinstance(item, (list, tuple)):
            waiting += item
    return found


def _execution() -> tuple[str, Any] | None:
    """Return the cell that is being executed and the number of its message, where they are known."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    parent = kernel.get_parent("shell") or {}
    cell = (parent.get("metadata") or {}).get("cellId")
    return None if cell is None else (cell, parent.get("header", {}).get("msg_id"))
