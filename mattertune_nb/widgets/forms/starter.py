"""Starts the run of a form and shows it: the Start line, and the dashboard in place of the settings."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError, MatterTuneError, TrainingError, cause
from mattertune_nb.training.runs.start import start_run
from mattertune_nb.widgets.forms.start_bar import StartBar
from mattertune_nb.widgets.page.controls import VBox
from mattertune_nb.widgets.page.lifetime import is_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.runs.run import Run
    from mattertune_nb.widgets.forms.estimate_line import EstimateLine

log = logging.getLogger(__name__)


class Starter:
    """The Start button of a form, and the dashboard of its run.

    Parameters
    ----------
    checked
        Returns the settings of the run, or raises an error that says why they cannot be run.
    known
        What the process with torch says about the settings.
    refusal
        Why the run cannot start, as far as is known before it is tried and shown already.
    estimate
        Pauses while a run takes the machine.
    current
        Returns the last run of the form.
    started
        Called with the run, before it is shown.

    Attributes
    ----------
    settings
        The settings, which the form fills in.
    dashboard
        The dashboard of the run, closed at first.
    """

    def __init__(
        self,
        checked: Callable[[], MatterTunerConfig],
        known: Callable[[], Mapping[str, Any]],
        refusal: Callable[[], str],
        estimate: EstimateLine,
        current: Callable[[], Run | None],
        started: Callable[[Run], None],
    ) -> None:
        self._checked, self._known, self._refusal = checked, known, refusal
        self._estimate, self._current, self._started = estimate, current, started
        self._starting = threading.Lock()
        self.bar = StartBar(self._on_press, self._open_dashboard, estimate.widget)
        self.settings, self.dashboard = VBox(css="mt-form"), VBox(css="mt-closed")

    def _on_press(self, _: Any) -> None:
        if not self.bar.button.disabled:  # a second press may have been under way
            self.bar.button.disabled = True
            threading.Thread(target=self._start_by_button, daemon=True).start()

    def _start_by_button(self) -> None:
        with contextlib.suppress(Exception):  # shown beside the button
            self.start()

    def start(self) -> Run:
        """Start the run and return it; if one is active, return that.

        Raises
        ------
        MatterTuneError
            Settings, data or this machine do not allow it; also shown beside the button.
        """
        with self._starting:
            last = self._current()
            if last is not None and last.is_active():
                return last
            self.bar.button.disabled = True
            try:
                self.bar.say("Checking the data and this machine …")
                run = start_run(self._checked(), is_machine_checked=bool(self._known()))
                self._follow(run)
            except MatterTuneError as exc:
                known = self._refusal()
                if known and isinstance(exc, (TrainingError, DataError)):
                    self.bar.refuse(known)
                else:
                    self.bar.say(str(exc), error=True)
                raise
            except Exception as exc:  # in the button's thread it would go unnoticed
                log.exception("The run could not be started.")
                self.bar.say(f"The run could not be started ({cause(exc)}).", error=True)
                raise
            finally:
                now = self._current()
                self.bar.button.disabled = now is not None and now.is_active()
            return run

    def _follow(self, run: Run) -> None:
        """Prepare the dashboard of a run, and report its progress beside Start; the page stays as it is."""
        self._started(run)
        self._estimate.pause()
        before, self.dashboard.children = self.dashboard.children, [run.dashboard()]
        for old in before:
            if not is_shown(old):
                old.close()
        self.bar.say("")
        self.bar.follow(run)

    def _open_dashboard(self, on: bool) -> None:
        (self.settings.add_class if on else self.settings.remove_class)("mt-closed")
        (self.dashboard.remove_class if on else self.dashboard.add_class)("mt-closed")
        for view in self.dashboard.children if on else ():
            view.shown()  # anything drawn while hidden has no width

    def close(self) -> None:
        """Stop following the run."""
        self.bar.close()
