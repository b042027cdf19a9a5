"""A notice for users who are looking elsewhere: a run has ended."""

from __future__ import annotations

from pathlib import Path

import anywidget

from mattertune_nb.widgets.page.style import PAGE_STYLE

_MARKS = {"finished": "✓", "stopped": "■"}


class Notice(anywidget.AnyWidget):  # type: ignore[misc]
    """A bell; the browser announces a run's end in the tab's title, with a notification if the bell is on.

    Announcements are not stored: a page opened later does not repeat past ones.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = PAGE_STYLE

    def tell(self, run: str, state: str, words: str = "") -> None:
        """Announce on each open page that a run has ended.

        Parameters
        ----------
        run
            Its name.
        state
            How it has ended.
        words
            The result.
        """
        self.send({"run": run, "headline": headline(run, state), "body": words})


def headline(run: str, state: str) -> str:
    """Return how a run has ended, briefly, e.g. ``"✓ finished – water"``."""
    return f"{_MARKS.get(state, '✗')} {state} – {run}"
