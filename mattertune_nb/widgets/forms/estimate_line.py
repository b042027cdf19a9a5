"""The estimated cost of a run with the current settings: a line that follows each edit.

The trial behind it takes seconds, in a separate process. Only one runs at a time; an edit that affects it
ends it, and after other edits, such as the number of epochs, the line is recomputed at once.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from mattertune_nb.backbones.trust import without_trust
from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.data.fingerprint import file_stamps
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig
from mattertune_nb.training.estimate.estimate import Estimate, TrialProcess, trial_settings
from mattertune_nb.widgets.page.controls import HTML
from mattertune_nb.widgets.page.style import note_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mattertune_nb.data.sources.configs import DatasetConfig
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.estimate.estimate import Trial

_HEAD_START = 0.7  # s; the form is displayed first
_IDLE = 1.0  # s without an edit before the trial starts
_KEPT = 8  # trials; people switch back and forth between a few settings


class EstimateLine:
    """Shows what a run will cost.

    Attributes
    ----------
    widget
        The line.
    """

    def __init__(self) -> None:
        self.widget = HTML(css="mt-estimate")
        self._changed = threading.Condition()
        self._config: MatterTunerConfig | None = None
        self._asked_at = 0.0
        self._trials: dict[str, Trial] = {}
        self._process: TrialProcess | None = None
        self._tried: str | None = None  # the settings of the current trial
        self._thread: threading.Thread | None = None

    def ask(self, config: MatterTunerConfig) -> None:
        """Show the estimate for a config, now or after its trial; returns at once."""
        if not all(map(_is_there, _sources(config))):
            self.pause()
            return
        settings = _key(config)
        with self._changed:
            if self._tried not in (None, settings):
                self._cancel()
            if settings in self._trials:
                self._config = None
                self._show(Estimate.from_trial(config, self._trials[settings]))
                return
            self._config, self._asked_at = config, time.monotonic()
            self._say("Estimating time and memory …")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="mattertune_nb estimate", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def pause(self) -> None:
        """Run no trial and show nothing until asked again, e.g. during training."""
        with self._changed:
            self._config = None
            self._cancel()
            self._say("")
            self._changed.notify_all()

    def wait(self, timeout: float = 60.0) -> bool:
        """Wait until no trial is running; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    close = pause

    def _cancel(self) -> None:
        if self._process is not None and self._tried is not None:
            self._process.cancel()

    def _work(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._config is None, _HEAD_START)
        while True:
            # it imports torch while the user continues typing
            with TrialProcess() as process:
                config = self._next(process)
                if config is None:
                    return
                try:
                    trial = process.ask(_unasked(config))
                except MatterTuneError as exc:
                    self._fail(config, exc)
                else:
                    self._keep(config, trial)

    def _next(self, process: TrialProcess) -> MatterTunerConfig | None:
        """Wait until a config is asked about and no edit has followed for a while."""
        with self._changed:
            while self._config is not None:
                left = self._asked_at + _IDLE - time.monotonic()
                if left <= 0:
                    self._process, self._tried = process, _key(self._config)
                    return self._config
                self._changed.wait(left)
            self._thread = None
            self._changed.notify_all()
            return None

    def _keep(self, config: MatterTunerConfig, trial: Trial) -> None:
        with self._changed:
            settings, self._tried = _key(config), None
            self._trials[settings] = trial
            for old in list(self._trials)[:-_KEPT]:
                del self._trials[old]
            # settings that the trial does not depend on may have been edited meanwhile
            if self._config is not None and _key(self._config) == settings:
                self._show(Estimate.from_trial(self._config, trial))
                self._config = None

    def _fail(self, config: MatterTunerConfig, exc: MatterTuneError) -> None:
        with self._changed:
            self._tried = None
            # if it was cancelled, other settings are already waiting
            if self._config is not None and _key(self._config) == _key(config):
                self._config = None
                self._say(_why_not(config, str(exc)))

    def _show(self, estimate: Estimate) -> None:
        self._say(f"{str(estimate)[0].upper()}{str(estimate)[1:]}.", " ".join(estimate.hints))

    def _say(self, *lines: str) -> None:
        text = "".join(map(note_html, lines))
        value = f'<div role="status">{text}</div>' if text else ""
        if self.widget.value != value:
            self.widget.value = value


def _unasked(config: MatterTunerConfig) -> MatterTunerConfig:
    """Return a config for a trial that nobody asked for: a file that can run code must have run before."""
    return config.model_copy(update={"model": without_trust(config.model)})


def _why_not(config: MatterTunerConfig, error: str) -> str:
    if error.startswith(
        "trainer."
    ):  # the bar beside it already says that this machine cannot run it
        return ""
    if error.startswith("trust_checkpoint") and getattr(config.model, "trust_checkpoint", False):
        return "No estimate before the first start: the file of these weights can run code when it is loaded."
    return f"No estimate: {error}"


def _sources(config: MatterTunerConfig) -> Iterator[DatasetConfig]:
    for name in ("dataset", "train", "validation", "test"):
        source = getattr(config.data, name, None)
        if isinstance(source, dict):
            yield from source.values()
        elif source is not None:
            yield source


def _is_there(source: DatasetConfig) -> bool:
    return isinstance(source, AtomsListDatasetConfig) or bool(file_stamps(source))


def _key(config: MatterTunerConfig) -> str:
    """Return a text that is equal for settings that share a trial: those it depends on, and the files."""
    stamps = []
    for source in _sources(config):
        if isinstance(source, AtomsListDatasetConfig):
            stamps += [[len(atoms), float(atoms.positions.sum())] for atoms in source.atoms_list]
        else:
            stamps += [stamp[1:] for stamp in file_stamps(source)]
    return json.dumps([trial_settings(config), stamps])
