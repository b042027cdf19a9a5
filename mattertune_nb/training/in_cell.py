"""Progress of a long call, shown in the notebook cell that made it."""

from __future__ import annotations

import html
import time
from typing import Any, Self

from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration
from mattertune_nb.training.runs.kernel import kernel_of_cell

_SECONDS = 0.5
"""Minimum time between two updates of the line."""


class InCell:
    """One line below the cell that shows the progress of a call, and at the end its result.

    It needs no widgets. Outside a notebook cell, nothing is shown. Used as a context manager, it leaves no
    bar behind if an interrupt or an error ends the call.

    Parameters
    ----------
    what
        Start of the line, e.g. the name of a run.
    interrupt
        Effect of interrupting the kernel, the only way to end a call that keeps it busy.
    """

    def __init__(self, what: str, interrupt: str = "ends it") -> None:
        self._what, self._interrupt = what, interrupt
        self._shows = kernel_of_cell() is not None
        self._handle: Any = None
        self._told = 0.0
        self._at_work = False
        self._started = time.monotonic()

    @property
    def seconds(self) -> str:
        """Time since the call, in readable form."""
        return duration(round(time.monotonic() - self._started, 1))

    def tell(self, said: str, done: int = 0, total: int = 0) -> None:
        """Show a bar of `done` out of `total` (0 if unknown), with the text `said`."""
        now = time.monotonic()
        if not self._shows or now - self._told < _SECONDS:
            return
        self._told, self._at_work = now, True
        share = f' value="{done}" max="{total}"' if total else ""
        bar = f'<progress{share} style="width:160px"></progress> '
        # a page reloaded meanwhile keeps the line as it was, and the time says so
        how = (
            f'<span style="opacity:.7"> · at {time.strftime("%H:%M:%S")} · '
            f"■ (interrupt the kernel) {self._interrupt}</span>"
        )
        self._show(said, bar, how)

    def end(self, said: str) -> None:
        """Replace the bar, if there was one, by a sentence."""
        if self._at_work:
            self._at_work = False
            self._show(said)

    def _show(self, said: str, before: str = "", after: str = "") -> None:
        from IPython.display import display

        line = f"{self._what}: {said}"
        words = html.escape(unbroken(line))
        shown = {"text/html": f"<div>{before}{words}{after}</div>", "text/plain": line}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, exc: object, traceback: object) -> None:
        how = "interrupted" if isinstance(exc, KeyboardInterrupt) else "ended"
        self.end(f"{how} after {self.seconds}")
