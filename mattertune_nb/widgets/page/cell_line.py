"""A line below a cell: live while the call in the cell is at work, plain afterwards."""

from __future__ import annotations

from typing import Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.escaped import printable
from mattertune_nb.widgets.page.connection import CONNECTION_STYLE, while_connected
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.lifetime import ClosedOnRerun, remember
from mattertune_nb.widgets.page.still import LIVE, still


class CellLine:
    """One line of HTML below the cell being executed.

    A page that is reloaded no longer receives the outputs of a cell at work, but a widget goes on there. The
    last line replaces the widget in the output, which a notebook saved afterwards keeps.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._still: Any = None
        self._widget: _Line | None = None

    def tell(self, line: str, plain: str) -> None:
        """Show a line.

        Parameters
        ----------
        line
            The line as HTML.
        plain
            The line without HTML, for front ends that show none.
        """
        shown = {"text/html": line, "text/plain": printable(plain)}
        if self._widget is not None:
            self._widget.value = CONNECTION_STYLE + while_connected(line)
        elif self._handle is not None:
            self._handle.update(shown, raw=True)
        else:
            self._show(shown)

    def end(self, line: str, plain: str) -> None:
        """Show the last line; the parameters are those of :meth:`tell`."""
        if self._widget is None:
            self.tell(line, plain)
        else:
            self._widget.value = line
            # it lives on for pages opened meanwhile, until the cell is executed again
            self._widget = None
            self.tell(line, plain)
            self._still.update(still(""), raw=True)

    def _show(self, shown: dict[str, str]) -> None:
        from IPython.display import display

        if not has_front_end():
            self._handle = display(shown, raw=True, display_id=True)
            return
        self._widget = _Line(CONNECTION_STYLE + while_connected(shown["text/html"]))
        bundle = dict(self._widget._repr_mimebundle_()) | shown
        self._handle = display(bundle, raw=True, display_id=True)
        self._still = display(
            still(f'<div class="mattertune-still" hidden>{shown["text/html"]}</div>'),
            raw=True,
            display_id=True,
        )
        remember(self._widget)


class _Line(ClosedOnRerun, W.HTML):  # type: ignore[misc]
    """The widget of a line."""

    def __init__(self, line: str) -> None:
        super().__init__(line, _dom_classes=(LIVE,))
