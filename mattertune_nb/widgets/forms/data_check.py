"""A button that checks the data before training, and the findings."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.doctor.finding import Finding, Report
from mattertune_nb.training.outcome.check_file import PROGRESS
from mattertune_nb.widgets.page.controls import HTML, Button, HBox, VBox
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig

_START = "Check the data"
_EVERY = 0.2  # s between two changes of the bar
_ABOUT = "units, signs, placeholders, duplicates, outliers; the untuned backbone predicts a sample"


class DataCheck:
    """Runs ``mattertune-nb check`` on the form's config in a separate process, so that the kernel stays free.

    Parameters
    ----------
    config
        Returns the current config.
    use
        Called with a finding whose suggested settings the user wants to use.
    """

    def __init__(
        self, config: Callable[[], MatterTunerConfig], use: Callable[[Finding], None]
    ) -> None:
        self._config, self._use = config, use
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._told = 0.0
        self.report: Report | None = None
        self.button = Button(description=_START, icon="stethoscope", css="mt-add")
        self.button.on_click(lambda _: self.cancel() if self.is_running else self.start())
        self._note, self._found = HTML(note_html(_ABOUT)), HTML()
        self.remedies = VBox()
        line = HBox([self.button, self._note], css="mt-line")
        self.widget = VBox([line, self._found, self.remedies])

    @property
    def is_running(self) -> bool:
        """Whether a check is running."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def text(self) -> str:
        """The text shown, as HTML."""
        return str(self._found.value)

    def start(self) -> None:
        """Check the data of the current config; an earlier check is forgotten."""
        try:
            settings = self._config().to_yaml()
        except MatterTuneError as exc:
            self._found.value = error_html(str(exc))
            return
        self.report, self._found.value, self.remedies.children = None, "", []
        self.button.description, self.button.icon = "Cancel", "times"
        self._thread = threading.Thread(target=self._look, args=(settings,), daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the check; nothing of it is shown."""
        if self._process is not None:
            self._process.kill()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the check has ended, for at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _look(self, settings: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "config.yaml"
            file.write_text(settings, encoding="utf-8")
            command = [
                sys.executable,
                "-m",
                "mattertune_nb.cli",
                "check",
                "--json",
                "--tell-progress",
            ]
            self._note.value = note_html("starting …")
            with (Path(folder) / "report.json").open("w+", encoding="utf-8") as report:
                self._process = subprocess.Popen(
                    [*command, str(file)], stdout=report, stderr=subprocess.PIPE, text=True
                )
                assert self._process.stderr is not None
                errors = [line for line in self._process.stderr if not self._tell(line)]
                code = self._process.wait()
                report.seek(0)
                out = report.read()
        self._show(out, "".join(errors), code)

    def _tell(self, line: str) -> bool:
        """Show the progress of the check if a line reports it; return whether it does."""
        if not line.startswith(PROGRESS):
            return False
        now = time.monotonic()
        what, done, total = line.removeprefix(PROGRESS).split()
        if now - self._told > _EVERY or done == total:
            self._told = now
            bar = f'<progress value="{done}" max="{total}"></progress>'
            self._note.value = f"{bar} {note_html(f'{what}: {done} of {total} frames')}"
        return True

    def _show(self, out: str, errors: str, code: int) -> None:
        self.button.description, self.button.icon = _START, "stethoscope"
        self._note.value = note_html("cancelled" if code < 0 else _ABOUT)
        if code in (0, 1) and out.lstrip().startswith("{"):
            self.report = Report.from_json(out)
            self._found.value = self.report.to_html()
            remedies = {(f.source, repr(f.settings)): f for f in self.report if f.settings}
            self.remedies.children = [self._remedy(f) for f in remedies.values()]
        elif code >= 0:
            # the last line of the output is the sentence with the reason
            said = errors.strip().splitlines() or [f"the check ended with code {code}"]
            self._found.value = error_html(said[-1].removeprefix("Error: "))

    def _remedy(self, finding: Finding) -> Button:
        """Return a button that uses the settings of a finding."""
        told = ", ".join(f"{name} = {value}" for name, value in finding.settings.items())
        button = Button(description=f"{finding.source}: use {told}", icon="check", css="mt-add")

        def use(_: object) -> None:
            self._use(finding)
            # the findings are about the data as they were read before
            done = HTML(note_html(f"{told} is set; check again"))
            self.remedies.children = [done if b is button else b for b in self.remedies.children]

        button.on_click(use)
        return button
