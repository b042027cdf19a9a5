"""Work of more than a second: runs in a kernel thread, with progress and a button to end it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.style import error_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 1.0
"""Seconds that work may take before any progress is shown."""

_PAUSE, _SHARE = 0.5, 0.25
"""Minimum seconds between progress messages or updates of results, and the time updates may take."""


class Step(NamedTuple):
    """How far work has progressed, e.g. ``Step("predicting", 12, 100, "frames")``."""

    doing: str
    done: int
    total: int
    unit: str


class Work(W.HBox):  # type: ignore[misc]
    """Progress, and a button that ends the work, keeping the results so far, or continues it.

    The kernel stays free. Without a front end all work is done where it is started.

    Parameters
    ----------
    steps
        Iterator; each step does a piece of the work.
    news
        Called in the thread now and then if there are new results, and once at the end.

    Attributes
    ----------
    error
        The exception that ended the work, if any; its message is shown.
    state
        ``"waiting"``, ``"running"``, ``"cancelled"``, ``"done"`` or ``"failed"``.
    steps_done
        Whether no steps remain unless the work is started again; as known at the last update.
    """

    def __init__(self, steps: Iterator[Step], news: Callable[[], None]) -> None:
        self._steps, self._news = steps, news
        self.state, self.steps_done = "waiting", False
        self.error: Exception | None = None
        self._step: Step | None = None
        self._ended, self._cancelled = threading.Event(), threading.Event()
        self._bar = W.FloatProgress(value=0.0, min=0.0, max=1.0, layout=W.Layout(width="180px"))
        self._words = W.HTML()
        self.button = W.Button(layout=W.Layout(width="84px"))
        self.button.on_click(lambda _: self.cancel() if self.state == "running" else self.start())
        super().__init__([self._bar, self._words, self.button])
        self.layout.align_items = "center"

    def start(self, patience: float = 0.0) -> None:
        """Start, or continue after a cancellation.

        Parameters
        ----------
        patience
            Seconds to wait for the end before returning.
        """
        if self.state not in ("waiting", "cancelled"):
            return
        self.steps_done = False
        self._cancelled.clear()
        self._ended.clear()
        self._say("running")
        if not has_front_end():
            self._run()
            return
        threading.Thread(target=self._run, daemon=True, name="mattertune_nb work").start()
        self._ended.wait(patience)

    def cancel(self) -> None:
        """End the work after the current step; results so far are kept."""
        self._cancelled.set()
        self.button.disabled = True

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work has ended.

        Raises
        ------
        MatterTuneError
            The work failed.
        TimeoutError
            The work is still running after this many seconds.
        """
        if self.state != "waiting" and not self._ended.wait(timeout):
            msg = f"the work is still running after {timeout} seconds."
            raise TimeoutError(msg)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """End the work, and close the widget."""
        self._news = lambda: None
        self._cancelled.set()
        super().close()

    def _run(self) -> None:
        try:
            state = "done" if self._advance() else "cancelled"
            self._words.value, self.button.disabled = "drawing …", True
            self.steps_done = True
            self._news()
        except Exception as exc:
            self.error, state = exc, "failed"
        self._say(state)
        self._ended.set()

    def _advance(self) -> bool:
        """Continue to the end and return true, or until told to stop."""
        begun = told = shown = time.monotonic()
        first: Step | None = None
        cost = 0.0
        for step in self._steps:
            now = time.monotonic()
            if first is None or step.doing != first.doing:
                first, begun = step, now
            self._step = step
            if now - told > _PAUSE:
                self._tell(step, first, now - begun)
                told = now
            if now - shown > max(_PAUSE, cost / _SHARE):
                self._news()
                shown = time.monotonic()
                cost = shown - now
            if self._cancelled.is_set():
                return False
        return True

    def _tell(self, step: Step, first: Step, seconds: float) -> None:
        self._bar.value = step.done / max(step.total, 1)
        words = f"{step.doing}: {step.done} of {step.total} {step.unit}"
        if step.done > first.done:
            left = seconds * (step.total - step.done) / (step.done - first.done)
            words += f", {duration(left)} left"
        self._words.value = escaped(unbroken(words))

    def _say(self, state: str) -> None:
        """Show the state of the work."""
        self.state = state
        self.button.disabled = False
        shown = state in ("running", "cancelled", "failed")
        self.layout.display = None if shown else "none"
        self._bar.layout.display = None if state == "running" else "none"
        self.button.layout.display = None if state in ("running", "cancelled") else "none"
        self.button.description = "Cancel" if state == "running" else "Continue"
        self.button.tooltip = (
            "Stop and keep the results so far" if state == "running" else "Do the rest as well"
        )
        if state == "cancelled" and self._step is not None:
            self._words.value = escaped(
                f"Cancelled: {self._step.done} of {self._step.total} {self._step.unit} are shown."
            )
        elif state == "failed":
            self._words.value = error_html(said(self.error), css="mt-alert")
        elif state == "running":
            self._words.value = "starting …"


def said(error: Any) -> str:
    """Return an error in one line, with the class name of unexpected ones."""
    if isinstance(error, MatterTuneError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())
