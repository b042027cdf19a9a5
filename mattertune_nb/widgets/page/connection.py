"""A page outlives its kernel; what it still shows of the present then says that nobody knows."""

from __future__ import annotations

from html import escape
from pathlib import Path

import anywidget

LOST = "disconnected: execute the cell again"

# JupyterLab marks all widgets of a kernel that was restarted, :class:`Connection` sees to the rest
CONNECTION_STYLE = """<style>
.mt-lost, .jupyter-widgets-disconnected .mt-live { display: none !important; }
.jupyter-widgets-disconnected .mt-lost { display: inline !important; }
button.mt-busy.jupyter-widgets-disconnected { font-size: 0; }
button.mt-busy.jupyter-widgets-disconnected::after { content: 'Disconnected'; font-size: 13px; }
</style>"""


class Connection(anywidget.AnyWidget):  # type: ignore[misc]
    """Nothing to see: marks the page's widgets where the kernel has died, as after a restart by hand."""

    _esm = Path(__file__).with_suffix(".js")


def while_connected(inner: str, lost: str = LOST) -> str:
    """Return HTML that is true only as long as the kernel lives, and gives way to words afterwards.

    It works on a page that has :data:`CONNECTION_STYLE` and a :class:`Connection`.
    """
    words = f'<span class="mt-lost">{escape(lost)}</span>' if lost else ""
    return f'<span class="mt-live">{inner}</span>{words}'
