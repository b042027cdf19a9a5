"""Progress of a long call, shown in the notebook cell that made it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration
from mattertune_nb.training.runs.kernel import kernel_of_cell, widgets_served

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.widgets.page.cell_line import CellLine

_SECONDS = 0.5
"""Minimum time between two updates of the line."""


class InCell:
    """One line below the cell that shows the progress of a call, and at the end its result.

    A page that is reloaded meanwhile shows it too, because clicks and requests of widgets are handled at each
    progress. Outside a notebook cell, nothing is shown. Used as a context manager, it leaves no bar behind if
    an interrupt or an error ends the call.

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
        self._line: CellLine | None = None
        self._told = 0.0
        self._served = ExitStack()
        self._serve: Callable[[float], None] | None = None
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
        self._told = now
        share = f' value="{done}" max="{total}"' if total else ""
        bar = f'<progress{share} style="width:160px"></progress> '
        # read where the kernel has died meanwhile
        how = (
            f'<span style="opacity:.7"> · at {time.strftime("%H:%M:%S")} · '
            f"■ (interrupt the kernel) {self._interrupt}</span>"
        )
        line = f"{self._what}: {said}"
        if self._line is None:
            from mattertune_nb.widgets.page.cell_line import CellLine

            self._line = CellLine()
        self._line.tell(f"<div>{bar}{_words(line)}{how}</div>", line)
        self.sleep(0)

    def sleep(self, seconds: float) -> None:
        """Wait while clicks and input in widgets are handled."""
        if self._serve is None:
            self._serve = self._served.enter_context(widgets_served())
        self._serve(seconds)

    def end(self, said: str) -> None:
        """Replace the bar, if there was one, by a sentence."""
        self._served.close()
        self._serve = None
        if self._line is not None:
            line = f"{self._what}: {said}"
            self._line.end(f"<div>{_words(line)}</div>", line)
            self._line = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, exc: object, traceback: object) -> None:
        how = "interrupted" if isinstance(exc, KeyboardInterrupt) else "ended"
        self.end(f"{how} after {self.seconds}")


def _words(line: str) -> str:
    return escaped(unbroken(line))
