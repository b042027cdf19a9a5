"""The Start button, with the estimated cost of the run, its progress, and its dashboard."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.widgets.page.connection import while_connected
from mattertune_nb.widgets.page.controls import HTML, Button, HBox, VBox, shared
from mattertune_nb.widgets.page.looking import keep_looking
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.records.status import Status
    from mattertune_nb.training.runs.run import Run

_POLL = 0.5  # s; checking a run's state reads two small files


class StartBar:
    """The line of a form that is always visible.

    Parameters
    ----------
    pressed
        Called when the user presses Start.
    opened
        Called with whether to show the dashboard of the run in place of the settings.
    estimate
        The estimated cost of the run.

    Attributes
    ----------
    message
        Result of the last press; a refusal is removed by :meth:`forget_refusal`.
    """

    def __init__(
        self, pressed: Callable[[Any], None], opened: Callable[[bool], None], estimate: W.Widget
    ) -> None:
        self._opened = opened
        self.is_open = False
        self.button = Button(
            description="Start",
            icon="play",
            button_style="primary",
            tooltip="Train in the background",
            layout=shared(W.Layout, width="130px", flex="0 0 auto"),
        )
        self.button.on_click(pressed)
        self.dashboard_button = Button(
            description="Open the dashboard",
            icon="line-chart",
            layout=shared(W.Layout, width="auto", flex="0 0 auto", display="none"),
        )
        self.dashboard_button.on_click(lambda _: self.open_dashboard(not self.is_open))
        self.message, self.refusal = HTML(), HTML()
        self._is_error = False
        self._run: Run | None = None
        self.widget = HBox(
            [
                self.button,
                self.dashboard_button,
                VBox([self.message, self.refusal, estimate], css="mt-start-text"),
            ],
            css="mt-start",
        )

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a line in place of the previous one."""
        self._is_error = error
        if error:
            self.message.value = error_html(text, css="mt-alert")
        else:
            self.message.value = f'<div role="status">{note_html(text)}</div>' if text else ""

    def forget_refusal(self) -> None:
        """Remove a refusal, because what it concerned has changed."""
        if self._is_error:
            self.say("")

    def show_refusal(self, text: str) -> None:
        """Show why the config cannot be run, if it cannot."""
        self.refusal.value = note_html(f"Cannot start: {text}" if text else "")

    def refuse(self, text: str) -> None:
        """Show that the config cannot be run, in place of the note that already says so."""
        self.refusal.value = ""
        self.say(f"Cannot start: {text}", error=True)

    def open_dashboard(self, on: bool) -> None:
        """Show the dashboard of the run, or the settings again."""
        self.is_open = on
        self.dashboard_button.description = "Back to settings" if on else "Open the dashboard"
        self.dashboard_button.icon = "sliders" if on else "line-chart"
        self._opened(on)

    def follow(self, run: Run) -> None:
        """Report the progress of a run, until it ends or another is followed."""
        self._run = run
        self.dashboard_button.layout = shared(W.Layout, width="auto", flex="0 0 auto")
        self.show_state(run.status())

        def look(bar: StartBar) -> float | None:
            if bar.run is not run:
                return None
            status = run.status()
            bar.show_state(status)
            # a run that has ended may be resumed from its dashboard
            return _POLL if status.state in ("starting", "running") else 4 * _POLL

        threading.Thread(
            target=keep_looking,
            args=(weakref.ref(self), look, _POLL),
            daemon=True,
            name="mattertune_nb start",
        ).start()

    def show_state(self, status: Status) -> None:
        """Show the state of the run; Start is disabled until it has ended."""
        assert self._run is not None
        active = status.state in ("starting", "running")
        if not self._is_error:
            words = note_html(state_in_words(self._run.name, status))
            words = while_connected(words) if active else words
            # setting a trait to its current value sends nothing
            self.message.value = f'<div role="status">{words}</div>'
        self.button.description = "Training …" if active else "Start"
        self.button.icon = "spinner" if active else "play"
        self.button.disabled = active
        mark = self.button.add_class if active else self.button.remove_class
        mark("mt-busy")

    @property
    def run(self) -> Run | None:
        """The run being followed."""
        return self._run

    def close(self) -> None:
        """Stop following a run."""
        self._run = None


def state_in_words(name: str, status: Status) -> str:
    """Return a sentence about a run."""
    at = f"epoch {status.counted_epoch}, step {status.step}"
    return {
        "starting": f"Training {name} is starting …",
        "running": f"Training {name}: {at}.",
        "finished": f"{name} has finished at {at}.",
        "stopped": f"{name} was stopped at {at}.",
    }.get(status.state, f"{name} {status.state}. {status.error or ''}".strip())
