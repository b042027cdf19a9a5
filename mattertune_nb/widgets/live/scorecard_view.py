"""Whether a tuned model is fit for use: choose checks, start them, and read the scorecard."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.physics.scorecard import CHECK_TITLES, Scorecard, read_scorecard
from mattertune_nb.widgets.page.controls import shared
from mattertune_nb.widgets.page.style import error_html

if TYPE_CHECKING:
    from mattertune_nb.training.runs.run import Run


class ScorecardView:
    """Check boxes, Start and Cancel, and the results below them.

    Parameters
    ----------
    run
        The run whose best weights are checked in a kernel thread.
    """

    title = "Fit for use"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._thread: threading.Thread | None = None
        self._is_cancelled = threading.Event()
        fitting = shared(W.Layout, width="auto")
        self.boxes = {
            name: W.Checkbox(True, description=title, indent=False, layout=fitting)
            for name, title in CHECK_TITLES.items()
        }
        self.start_button = W.Button(
            description="Check",
            icon="check",
            tooltip="Run the selected checks on the best weights; takes minutes",
        )
        self.cancel_button = W.Button(description="Cancel", icon="stop", disabled=True)
        self.start_button.on_click(lambda _: self.start())
        self.cancel_button.on_click(lambda _: self._is_cancelled.set())
        self._progress = W.IntProgress(0, 0, 1, layout=W.Layout(width="200px", display="none"))
        self._said = W.HTML(layout=shared(W.Layout, flex="0 1 auto"))
        self._card = W.HTML()
        columns = "repeat(auto-fill, minmax(min(270px, 100%), 1fr))"
        boxes = W.GridBox(list(self.boxes.values()), layout={"grid_template_columns": columns})
        line = W.HBox([self.start_button, self.cancel_button, self._progress, self._said])
        self.widget = W.VBox([boxes, line, self._card])
        self.clear()

    @property
    def text(self) -> str:
        """The scorecard as HTML, or the text in its place."""
        return str(self._card.value) or str(self._said.value)

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds a scorecard."""
        self._seen: float | None = None
        self._card.value = ""
        self._said.value = (
            "Not checked yet: energy conservation, stability, symmetries, holes and more."
        )

    def refresh(self) -> None:
        """Show the run's saved scorecard if it is new."""
        file = self._run.directory.scorecard_file
        if not file.is_file() or file.stat().st_mtime == self._seen:
            return
        card, self._seen = read_scorecard(file), file.stat().st_mtime
        if card is not None:
            self._show(card)

    def start(self) -> None:
        """Run the selected checks in a thread; does nothing if they are already running."""
        chosen = [name for name, box in self.boxes.items() if box.value]
        if self._thread is not None and self._thread.is_alive():
            return
        self._is_cancelled.clear()
        self.start_button.disabled, self.cancel_button.disabled = True, False
        self._thread = threading.Thread(target=self._check, args=(chosen,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the checks are done."""
        if self._thread is not None:
            self._thread.join()

    def _check(self, chosen: list[str]) -> None:
        self._progress.max, self._progress.value = max(len(chosen), 1), 0
        self._progress.layout.display = None
        self._said.value = "Reading the model and its structures …"
        try:
            everything = len(chosen) == len(self.boxes)
            card = self._run.validate(
                None if everything else chosen,
                progress=self._tell,
                cancelled=self._is_cancelled.is_set,
            )
            self._show(card)
        except MatterTuneError as exc:
            self._said.value = error_html(str(exc), css="mt-alert")
        finally:
            self._progress.layout.display = "none"
            self.start_button.disabled, self.cancel_button.disabled = False, True

    def _tell(self, name: str, done: int, total: int) -> None:
        self._progress.max, self._progress.value = max(total, 1), done
        self._said.value = escaped(CHECK_TITLES.get(name, "")) + (" …" if name else "")

    def _show(self, card: Scorecard) -> None:
        self._said.value = ""
        self._card.value = card.to_html()
