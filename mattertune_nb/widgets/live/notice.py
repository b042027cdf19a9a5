"""A notice to a person who looks elsewhere: a run has ended."""

from __future__ import annotations

from pathlib import Path

import anywidget

from mattertune_nb.widgets.page.style import PAGE_STYLE

_MARKS = {"finished": "✓", "stopped": "■"}


class Notice(anywidget.AnyWidget):  # type: ignore[misc]
    """A bell; the browser tells of a run's end by the title of the tab, and by more where the bell was rung.

    What was told is no state: a page that is opened later is told nothing of the past.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = PAGE_STYLE

    def tell(self, run: str, state: str, words: str = "") -> None:
        """Say that a run has ended, on each page that is open now.

        Parameters
        ----------
        run
            Its name.
        state
            How it has ended.
        words
            What came of it.
        """
        self.send({"run": run, "headline": headline(run, state), "body": words})


def headline(run: str, state: str) -> str:
    """Return how a run has ended, in few words, e.g. ``"✓ finished – water"``."""
    return f"{_MARKS.get(state, '✗')} {state} – {run}"
