"""The live view of a run; everything in it is read from the run's directory."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.outcome.verdict import line_html
from mattertune_nb.training.records.reader import RecordReader
from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.expected import expected_of
from mattertune_nb.widgets.live.notice import Notice
from mattertune_nb.widgets.live.progress import Progress, progress_html, read_progress
from mattertune_nb.widgets.live.sections import SECTIONS, CurvesSection, Sections
from mattertune_nb.widgets.live.series import CurveData
from mattertune_nb.widgets.page.controls import shared
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end
from mattertune_nb.widgets.page.looking import keep_looking
from mattertune_nb.widgets.page.picture import Pictured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.records.status import Status
    from mattertune_nb.training.runs.run import Run
    from mattertune_nb.widgets.page.export import Table

_NO_VERDICT_YET = line_html(
    '<span style="opacity:0.7">The verdict stands here once the run has ended.</span>'
)

_dashboards: weakref.WeakValueDictionary[str, Dashboard] = weakref.WeakValueDictionary()


def dashboard(run: Run) -> Dashboard:
    """Return the dashboard of a run, the same one for every call, however often a cell is executed.

    The front end never frees a plotly figure, so each run has a single one for as long as it is shown.
    """
    key = str(run.path.absolute())
    found = _dashboards.get(key)
    if found is None or found.closed:
        found = Dashboard(run)
        _dashboards[key] = found
    else:
        found.run = run
    found.watch()
    return found


class Dashboard(Pictured, W.VBox):  # type: ignore[misc]
    """Progress, curves, and the other :data:`SECTIONS` of a run, with Stop and Resume.

    Parameters
    ----------
    run
        The run; it may be training in any process, or have ended long ago.
    """

    def __init__(self, run: Run) -> None:
        enable_colab_widgets()
        self.run = run
        self.closed = False
        self.data = CurveData(*expected_of(run))
        self._reader = RecordReader(run.directory)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._status: Status | None = None
        self._is_stopping = False
        self._is_unreadable = False
        self._config: MatterTunerConfig | None = None
        self._config_read: float | None = -1.0
        self._header = W.HTML()
        self._message = W.HTML()
        self._verdict = W.HTML()
        self._notice = Notice()
        self._buttons = self._make_buttons()
        self.curves = CurvesSection(self.data)
        self.sections = Sections([self.curves, *(section(run) for section in SECTIONS)])
        super().__init__(
            [self._header, self._buttons, self._message, self._verdict, self.sections.widget]
        )
        self.refresh()

    def _make_buttons(self) -> W.HBox:
        narrow = shared(W.Layout, width="auto", min_width="80px")
        self.stop_button = W.Button(
            description="Stop",
            layout=narrow,
            icon="stop",
            tooltip="Stop at the next optimizer step and save the state",
        )
        self.resume_button = W.Button(
            description="Resume",
            layout=narrow,
            icon="play",
            tooltip="Continue from the last saved state",
        )
        self.longer_button = W.Button(
            description="Train longer",
            layout=narrow,
            icon="forward",
            tooltip="Increase the number of epochs and continue",
        )
        self.epochs = W.BoundedIntText(
            10,
            min=1,
            max=100_000,
            description="epochs",
            layout=W.Layout(width="120px"),
            style={"description_width": "48px"},
        )
        self.stop_button.on_click(lambda _: self._do(self.run.stop))
        self.resume_button.on_click(lambda _: self._do(self.run.resume))
        self.longer_button.on_click(
            lambda _: self._do(lambda: self.run.train_longer(self.epochs.value))
        )
        return W.HBox(
            [
                self.stop_button,
                self.resume_button,
                self.longer_button,
                self.epochs,
                Download(self, self.run.name),
                self._notice,
            ],
            layout=W.Layout(flex_flow="row wrap", align_items="center"),
        )

    def _do(self, action: Any) -> None:
        try:
            action()
        except (MatterTuneError, OSError) as exc:
            self._say(str(exc), error=True)
        self.refresh()
        self.watch()

    def _say(self, text: str, *, error: bool = False) -> None:
        color = "var(--jp-error-color1, #c62828)" if error else "inherit"
        self._message.value = (
            f'<div role="status" style="color:{color};white-space:pre-wrap">'
            f"{escaped(unbroken(text))}</div>"
            if text
            else ""
        )

    def refresh(self) -> bool:
        """Read what is new; return whether the run is active.

        If a run directory is gone or unreadable, a message says so; what was read stays.
        """
        with self._lock:
            try:
                before, status = self._status, self.run.status()
                self._read(status)
                if before is not None and before.is_active and not status.is_active:
                    self.renew_picture()  # last, because it takes a second
            except (MatterTuneError, OSError, ValueError, KeyError, TypeError) as exc:
                self._is_unreadable = True
                self._say(f"{self.run.path} cannot be read: {exc}", error=True)
                return False
            return status.is_active

    def _read(self, status: Status) -> None:
        """Show what is new in a run, given its state."""
        if status.state == "removed":
            self._on_status(status)
            self._show(read_progress(self.run, self._config, status, self.data))
            return
        records, restarted = self._reader.new_records()
        if restarted:
            self._forget()
        self.data.damaged = self._reader.damaged
        if records or restarted:
            self.data.add(records)
        if restarted or self._is_changed(status):
            self._on_status(status)
        self._show(read_progress(self.run, self._read_config(), status, self.data))
        self.sections.refresh()
        if self._is_unreadable:
            self._is_unreadable = False
            self._on_status(status)

    def _forget(self) -> None:
        """Discard what was read: the run went back to an earlier step, or another has taken its name."""
        self.data.expect(*expected_of(self.run))
        self.data.steps_per_epoch = None
        self.data.clear()
        self.sections.clear()
        self._config_read = -1.0

    def _read_config(self) -> MatterTunerConfig | None:
        """Return the run's config, read again only if it has changed."""
        file = self.run.directory.config_file
        changed = file.stat().st_mtime if file.exists() else None
        if changed != self._config_read:
            was_refused = self._config_read != -1.0 and self._config is None
            self._config_read, self._config = changed, None
            try:
                self._config = self.run.config()
                if was_refused:
                    self._say("")
            except MatterTuneError as exc:
                self._say(
                    f"The run cannot continue because its settings cannot be read: {exc}",
                    error=True,
                )
        return self._config

    def _show(self, progress: Progress) -> None:
        self._header.value = progress_html(progress)

    def _is_changed(self, status: Status) -> bool:
        before = self._status
        is_stopping = status.is_active and self.run.directory.is_stopping()
        changed = before is None or (status.state, status.error) != (before.state, before.error)
        return changed or is_stopping != self._is_stopping

    def _on_status(self, status: Status) -> None:
        """Enable the buttons that apply in a state, and show its message."""
        state, active = status.state, status.is_active
        self.stop_button.disabled = not active
        self.resume_button.disabled = active or state in ("removed", "finished")
        self.longer_button.disabled = active or state == "removed"
        # requested in any notebook or shell
        self._is_stopping = active and self.run.directory.is_stopping()
        if state == "removed":
            self._say(f"{self.run.path} was removed; the curves show what was read.", error=True)
        elif status.error:
            self._say(f"The run {state}. {status.error}", error=True)
            self.sections.open("Log")  # its end says more
        elif self._is_stopping:
            self._say("Stopping at the next step …")
        elif self._status:
            self._say("")
        # a run that could not be read already has its message
        judged = None if active else self.run.verdict()
        self._verdict.value = _NO_VERDICT_YET if judged is None else judged.to_html()
        ended = self._status is not None and self._status.is_active and not active
        self._status = status
        if ended:
            self._notice.tell(self.run.name, state, status.error or str(judged or ""))

    def watch(self) -> None:
        """Follow the run in a read-only thread until the widget is closed or the run removed.

        It checks often while the run is active, otherwise now and then, because a finished run may be resumed
        from another notebook or a shell.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        rounds = 0

        def look(view: Dashboard) -> float | None:
            nonlocal rounds
            if view.closed:
                return None
            active = view.refresh()
            if not view.run.path.is_dir():
                return None
            rounds += 1
            if active and rounds % 8 == 0 and not has_front_end():
                view.renew_picture()
            return 0.3 if active or rounds < 12 else 2.0

        self._thread = threading.Thread(
            target=keep_looking,
            args=(weakref.ref(self), look),
            daemon=True,
            name="mattertune_nb dashboard",
        )
        self._thread.start()

    def shown(self) -> None:
        """Let the figure take the full width of the cell."""
        self.curves.figure.fit_soon()

    def plain_header(self) -> str:
        """Return the progress of the run as HTML while it is active; afterwards the picture shows it."""
        if self._status is None or not self._status.is_active:
            return ""
        return (
            f"{self._header.value}{self._message.value}"
            "<i>run.stop() ends it, run.resume() continues it.</i>"
        )

    def draw(self) -> Figure | None:
        """Return the curves as a matplotlib figure."""
        return draw_curves(self.data, scales=self.curves.figure.scales, title=self._title())

    def numbers(self) -> Table | None:
        """Return the points of the curves."""
        return curve_table(self.data)

    def _title(self) -> str:
        state = "" if self._status is None else f"{self._status.state}, "
        return f"{self.run.name}: {state}epoch {self.data.epoch + 1}, step {self.data.step + 1}"

    def close(self) -> None:
        """Close the widget and its thread."""
        self.closed = True
        super().close()
