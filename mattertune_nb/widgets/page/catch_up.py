"""What changes while a page loads: the page misses it, and is told again once it has loaded.

A page that is reloaded asks for the state of all widgets and then makes them, one after the other. What is
sent to a widget between the answer and its making is lost, for good where nothing follows it: a run that ends
in between would be shown as running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from ipywidgets.comm import get_comm_manager
from ipywidgets.widgets.widget import _instances

if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = Mapping[str, Mapping[str, Any]]

_CONTROL = "jupyter.widget.control"
_MAX_PAGES = 4
"""Pages that may load at once; the state at the time of an earlier one is forgotten."""

_asked: dict[int, Values] = {}
"""For each page that is loading, by its number, the values of all widgets when it asked for them."""
_number = 0


def watch() -> None:
    """Note from now on what there is when a page asks for the state of all widgets."""
    get_comm_manager().register_target(_CONTROL, _on_page)


def number_of_page() -> int:
    """Return the number of the last page that asked."""
    return _number


def tell_again(page: int) -> None:
    """Send what has changed since a page asked.

    Parameters
    ----------
    page
        Its number; one that is not known is told nothing.
    """
    before = _asked.pop(page, None)
    if before is None:
        return
    # what a thread changes while it is being sent may be overtaken
    for _ in range(2):
        now = _values()
        for widget in list(_instances.values()):
            old, new = before.get(widget.model_id, {}), now.get(widget.model_id, {})
            changed = {key for key in new if key in old and new[key] is not old[key]}
            if hasattr(widget, "told_again"):
                changed = widget.told_again(changed)
            if changed:
                widget.send_state(changed)
        before = now


def _on_page(comm: Any, message: Any) -> None:
    global _number
    _number += 1
    _asked[_number] = _values()
    _asked.pop(_number - _MAX_PAGES, None)
    W.Widget.handle_control_comm_opened(comm, message)


def _values() -> Values:
    """Return the present values of all widgets."""
    return {
        name: {
            key: value for key, value in widget._trait_values.copy().items() if key in widget.keys
        }
        for name, widget in _instances.copy().items()
    }
