"""A page can outlive its kernel; anything live that it still shows is then marked as disconnected."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as W  # noqa: N812  the usual alias
import traitlets

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

    Where a page that was reloaded has given up on widgets, it has them shown again.
    """

    _esm = Path(__file__).with_suffix(".js")

    @traitlets.default("layout")  # type: ignore[untyped-decorator]
    def _layout(self) -> Any:
        return shared(W.Layout)


_kept: list[Connection] = []


def keep_connection() -> None:
    """Have a connection on each page that shows widgets, also where none of them holds one."""
    if not _kept or _kept[0].comm is None:
        _kept[:] = [Connection()]


def while_connected(inner: str, lost: str = LOST) -> str:
    """Return HTML that is shown only while the kernel is alive, and replaced by words afterwards.

    It works on a page with :data:`CONNECTION_STYLE` and a :class:`Connection`.
    """
    # hidden by default: a page without widgets has neither the style nor a connection to lose
    words = f'<span class="mt-lost" hidden>{escape(lost)}</span>' if lost else ""
    return f'<span class="mt-live">{inner}</span>{words}'
