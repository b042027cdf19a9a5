"""The end of a run's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.escaped import escaped

if TYPE_CHECKING:
    from mattertune_nb.training.runs.run import Run

_LINES = 200

# a reversed column keeps its end in view as more is written
_PAGE = """<div tabindex="0" aria-label="log" style="display:flex;flex-direction:column-reverse;
position:absolute;inset:0;overflow:auto"><pre style="margin:0 0 auto;padding:4px;font-size:12px;
line-height:1.4;white-space:pre-wrap;word-break:normal;overflow-wrap:break-word">{}</pre></div>"""


class LogView:
    """The last lines of a run's log, scrolled to the end.

    Parameters
    ----------
    run
        The run whose log is read.
    """

    title = "Log"

    def __init__(self, run: Run) -> None:
        self._run = run
        self.widget = W.HTML(layout=W.Layout(position="relative"))
        self.clear()

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds something."""
        self.widget.value = _PAGE.format("The log is still empty.")

    def refresh(self) -> None:
        """Show what was logged since."""
        said = self._run.log_tail(_LINES)
        if said:
            self.widget.value = _PAGE.format(escaped(said))
