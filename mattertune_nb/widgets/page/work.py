"""Work of more than a second: in a thread of the kernel, with progress and a button that ends it."""

from __future__ import annotations

import html
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration
from mattertune_nb.widgets.page.front_end import has_front_end
from mattertune_nb.widgets.page.style import error_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 1.0
"""Seconds that work may take before anything of it is shown."""

_PAUSE, _SHARE = 0.5, 0.25
"""Least seconds between two words or two looks at the results so far, and the time that looks may take."""


class Step(NamedTuple):
    """How far work has come, e.g. ``Step("predicting", 12, 100, "frames")``."""

    doing: str
    done: int
    total: int
    unit: str


class Work(W.HBox):  # type: ignore[misc]
    """Progress, and a button that ends the work and keeps what is there; another goes on.

    The kernel stays free. Without a front end everything is done where it is started.

    Parameters
    ----------
    steps
        Does a piece of the work each time it is asked for the next step.
    news
        Called in the thread now and then, where there are new results, and once at the end.

    Attributes
    ----------
    error
        What ended the work, if anything did; its message is shown.
    state
        ``"waiting"``, ``"running"``, ``"cancelled"``, ``"done"`` or ``"failed"``.
    steps_done
        Whether no step is to come unless the work is started again; known at the last news.
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
        """Begin, or go on after a cancellation.

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
        """End the work after the piece at hand; what is there stays."""
        self._cancelled.set()
        self.button.disabled = True

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work has ended.

        Raises
        ------
        MatterTuneError
            What ended it, if it has failed.
        TimeoutError
            It goes on after so many seconds.
        """
        if self.state != "waiting" and not self._ended.wait(timeout):
            msg = f"the work goes on after {timeout} seconds."
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
        """Go on until the end, and return true, or until told not to."""
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
        self._words.value = html.escape(unbroken(words))

    def _say(self, state: str) -> None:
        """Show what has become of the work."""
        self.state = state
        self.button.disabled = False
        shown = state in ("running", "cancelled", "failed")
        self.layout.display = None if shown else "none"
        self._bar.layout.display = None if state == "running" else "none"
        self.button.layout.display = None if state in ("running", "cancelled") else "none"
        self.button.description = "Cancel" if state == "running" else "Go on"
        self.button.tooltip = "Keep what is there" if state == "running" else "Do the rest too"
        if state == "cancelled" and self._step is not None:
            self._words.value = html.escape(
                f"Cancelled: {self._step.done} of {self._step.total} {self._step.unit} are shown."
            )
        elif state == "failed":
            self._words.value = error_html(said(self.error), css="mt-alert")
        elif state == "running":
            self._words.value = "starting …"


def said(error: Any) -> str:
    """Return an error in one line; one that was not foreseen is named."""
    if isinstance(error, MatterTuneError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())
