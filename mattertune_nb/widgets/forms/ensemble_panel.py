"""Trains the form's run several times with different seeds, as one model with an uncertainty."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.training.ensemble import new_ensemble
from mattertune_nb.training.runs.start import check_start
from mattertune_nb.widgets.page.connection import while_connected
from mattertune_nb.widgets.page.controls import HTML, Button, Dropdown, HBox, VBox
from mattertune_nb.widgets.page.looking import keep_looking
from mattertune_nb.widgets.page.picture import Message
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.ensemble import EnsembleRun

_POLL = 1.0
"""Seconds between two checks of the runs."""

_CURVES, _NEWER = "Show its curves", "Show its newest curves"
_NO_CURVES = "No curves yet: they begin with the first validation of the first model."

_ABOUT = (
    "Trains this run again and again with other seeds, one after the other, which takes as many times as "
    "long. Where the models differ, they are unsure: predictions come with that spread. In one run, for "
    "little more time: 'Copies of the last block' on the Model tab."
)


class EnsemblePanel:
    """Trains an ensemble in a separate process, and shows its progress.

    Parameters
    ----------
    config
        Returns the settings of a member, or raises an error that says why it cannot.

    Attributes
    ----------
    ensemble
        The ensemble started last.
    """

    def __init__(self, config: Callable[[], MatterTunerConfig]) -> None:
        self._config = config
        self.ensemble: EnsembleRun | None = None
        self._thread: threading.Thread | None = None
        self.members = Dropdown(
            options=[(f"{n} models", n) for n in range(2, 11)], value=4, description="Ensemble of"
        )
        self.button = Button(description="Train an ensemble", icon="clone", css="mt-add")
        self.curves_button = Button(description=_CURVES, icon="line-chart", css="mt-add")
        self.button.on_click(lambda _: self.press())
        self.curves_button.on_click(lambda _: self.show_curves())
        self._said, self._curves = HTML(note_html(_ABOUT)), VBox()
        self._line = HBox([self.members, self.button], css="mt-line")
        self.widget = VBox([self._line, self._said, self._curves])
        self.widget.once_shown = (self.curves_button,)

    @property
    def text(self) -> str:
        """The text shown, as HTML."""
        return str(self._said.value)

    def press(self) -> None:
        """Start training, or stop it if it is running."""
        if self._thread is not None and self._thread.is_alive():
            if self.ensemble is not None:
                self.button.disabled = True
                self.ensemble.stop()
            return
        self._said.value = note_html("Checking the data and this machine …")
        self.button.disabled = True
        self._thread = threading.Thread(
            target=_train_and_follow,
            args=(weakref.ref(self),),
            daemon=True,
            name="mattertune_nb ensemble",
        )
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the runs have ended, for at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def show_curves(self) -> None:
        """Show the curves of the runs so far, and again those that there are by then."""
        if self.ensemble is None:
            return
        view = self.ensemble.dashboard()
        has_points = not isinstance(view, Message) and any(
            panel.series for panel in view.data.panels.values()
        )
        shown = view if has_points else HTML(note_html(_NO_CURVES))
        before, self._curves.children = self._curves.children, [shown]
        for old in (*before, *([] if has_points else [view])):
            old.close()
        self.curves_button.description = _NEWER if has_points else _CURVES

    def close(self) -> None:
        """Stop following the runs; they continue."""
        self.ensemble = None

    def start(self) -> EnsembleRun | None:
        """Start training and return the ensemble, or say why it cannot start and return ``None``."""
        try:
            config = self._config()
            check_start(config, is_machine_checked=True)
            self.ensemble = new_ensemble(config, self.members.value).start()
        except MatterTuneError as exc:
            self._said.value = error_html(str(exc))
            return None
        finally:
            self.button.disabled = False
        self.button.description, self.button.icon = "Stop the ensemble", "stop"
        self._line.children = [self.members, self.button, self.curves_button]
        return self.ensemble

    def show_state(self, ensemble: EnsembleRun) -> float | None:
        """Show the progress of the runs; return the seconds until the next check or None."""
        active, runs = ensemble.is_active(), ensemble.runs()
        if active:
            at = f", {runs[-1].name} at step {runs[-1].status().step}" if runs else ""
            said = f"Training {ensemble.path.name}: {ensemble.progress()}{at}."
            self._said.value = while_connected(note_html(said))
            return _POLL
        self.button.description, self.button.icon = "Train an ensemble", "clone"
        self.button.disabled = False
        failure = ensemble.failure()
        self._said.value = _ended(ensemble) if failure is None else error_html(failure)
        return None


def _train_and_follow(view: weakref.ref[EnsemblePanel]) -> None:
    """Train for a panel, and show the progress for as long as the panel exists."""
    panel = view()
    ensemble = None if panel is None else panel.start()
    del panel  # its form may be gone before the runs have ended
    if ensemble is not None:
        keep_looking(view, lambda p: p.show_state(ensemble) if p.ensemble is ensemble else None)


def _ended(ensemble: EnsembleRun) -> str:
    made = f"mt.EnsembleRun({str(ensemble.path)!r})"
    then = f"One model: {made}.model()" if ensemble.is_done() else f"To continue: {made}.resume()"
    lines = [f"{ensemble.path.name}: {ensemble.progress()}.", *ensemble.told(), then]
    return "".join(map(note_html, lines))
