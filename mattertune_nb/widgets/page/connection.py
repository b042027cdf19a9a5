"""A page can outlive its kernel; anything live that it still shows is then marked as disconnected."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as W  # noqa: N812  the usual alias
import traitlets

from mattertune_nb.widgets.page.catch_up import number_of_page, tell_again, watch
from mattertune_nb.widgets.page.controls import shared

LOST = "disconnected: run the cell again"

# JupyterLab marks all widgets of a restarted kernel; :class:`Connection` handles the other cases
CONNECTION_STYLE = """<style>
.mt-lost, .jupyter-widgets-disconnected .mt-live { display: none !important; }
.jupyter-widgets-disconnected .mt-lost { display: inline !important; }
button.mt-busy.jupyter-widgets-disconnected { font-size: 0; }
button.mt-busy.jupyter-widgets-disconnected::after { content: 'Disconnected'; font-size: 13px; }
</style>"""


class Connection(anywidget.AnyWidget):  # type: ignore[misc]
    """Invisible: marks the page's widgets when the kernel has died or was restarted by hand.

    Where a page that was reloaded has given up on widgets, it has them shown again, and what changed while
    the page was loading is told again.
    """

    _esm = Path(__file__).with_suffix(".js")
    _page = traitlets.Int().tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(lambda _, content, __: tell_again(content.get("loaded")))

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state, which tells each page its number."""
        self._trait_values["_page"] = number_of_page()
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state

    @traitlets.default("layout")  # type: ignore[untyped-decorator]
    def _layout(self) -> Any:
        return shared(W.Layout)


_kept: list[Connection] = []


def keep_connection() -> None:
    """Have a connection on each page that shows widgets, also where none of them holds one."""
    if not _kept or _kept[0].comm is None:
        watch()
        _kept[:] = [Connection()]


def while_connected(inner: str, lost: str = LOST) -> str:
    """Return HTML that is shown only while the kernel is alive, and replaced by words afterwards.

    It works on a page with :data:`CONNECTION_STYLE` and a :class:`Connection`.
    """
    # hidden by default: a page without widgets has neither the style nor a connection to lose
    words = f'<span class="mt-lost" hidden>{escape(lost)}</span>' if lost else ""
    return f'<span class="mt-live">{inner}</span>{words}'
