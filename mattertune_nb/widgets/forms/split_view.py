"""How the frames of a data config are split, as a bar with numbers."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.data.fingerprint import file_stamps
from mattertune_nb.widgets.forms.placement import BATCHES
from mattertune_nb.widgets.page.controls import HTML
from mattertune_nb.widgets.page.style import error_html, note_html
from mattertune_nb.widgets.page.theme import BLUE, GREEN, GREY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mattertune_nb.data.division.dividing import DividedData

_COLORS = {"train": BLUE, "validation": GREEN, "test": "#e8833a"}
_WORDS = {"train": "training", "validation": "validation", "test": "test"}
_DELAY = 0.7  # s during which another edit may follow
_MOST = 20_000
"""A file with at most this many frames is read completely."""


class SplitView:
    """The split: first from the requested sizes, then as computed from the frames."""

    def __init__(self) -> None:
        self.widget = HTML()
        self._lock = threading.Lock()
        self._asked: Any = None
        self._known: tuple[Any, str] | None = None

    @property
    def value(self) -> str:
        """The text and bar shown."""
        return str(self.widget.value)

    def show(self, data: Any, sizes: Mapping[str, int]) -> None:
        """Show the split of a data config.

        Parameters
        ----------
        data
            The config; its own code splits the frames.
        sizes
            Number of frames in the data set of each field, as far as known.
        """
        asked = _identity(data), dict(sizes)
        with self._lock:
            self._asked = asked
            if self._known is not None and self._known[0] == asked:
                self.widget.value = self._known[1]
                return
        self.widget.value, is_exact = expected_html(data, sizes)
        if not is_exact and sum(sizes.values()) <= _MOST:
            args = data.model_copy(deep=True), asked
            threading.Thread(
                target=self._divide, args=args, daemon=True, name="mattertune_nb split"
            ).start()

    def clear(self) -> None:
        """Show nothing, e.g. if a file cannot be read, which is reported elsewhere."""
        with self._lock:
            self._asked = None
            self.widget.value = ""

    def _divide(self, data: Any, asked: Any) -> None:
        threading.Event().wait(_DELAY)
        if self._asked != asked:
            return
        try:
            found = divided_html(data.create_datasets(), sum(asked[1].values()))
        except (MatterTuneError, OSError) as exc:
            found = error_html(str(exc), css="mt-alert")
        with self._lock:
            if self._asked == asked:
                self._known = asked, found
                self.widget.value = found


def _identity(data: Any) -> str:
    left_out = {name: {"atoms_list"} for name in ("dataset", "train", "validation", "test")}
    dump = data.model_dump(mode="json", exclude=left_out | dict.fromkeys(BATCHES, True))
    given = [getattr(data, name, None) for name in left_out]
    sources = [s for one in given for s in (one.values() if isinstance(one, dict) else [one])]
    return json.dumps([dump, [file_stamps(source) for source in sources if source is not None]])


def expected_html(data: Any, sizes: Mapping[str, int]) -> tuple[str, bool]:
    """Return the split by sizes alone, and whether reading the frames would change nothing."""
    try:
        counts = data.expected_counts(sizes)
    except MatterTuneError as exc:
        return error_html(str(exc), css="mt-alert"), True
    # frames of one file go where the rule puts them, those of separate files stay where they are
    about = "about " if "dataset" in sizes else ""
    unused = sum(sizes.values()) - sum(counts.values())
    return bar_html(counts, unused=unused, about=about), len(counts) < 2


def divided_html(datasets: DividedData, n: int) -> str:
    """Return a split of `n` frames with the remarks about it."""
    counts = {stage: len(dataset) for stage, dataset in datasets.items()}
    said = list(datasets.notes)
    told = any(f"divided by {datasets.rule}" in note for note in said)
    if datasets.rule not in ("files", "random") and not told:
        said.insert(0, f"Divided by {datasets.rule}.")
    return bar_html(counts, unused=n - sum(counts.values())) + _notes(said)


def bar_html(counts: Mapping[str, int], *, unused: int = 0, about: str = "") -> str:
    """Return a bar of the parts with their numbers of frames."""
    parts = [(f"{n} {_WORDS[stage]}", n, _COLORS[stage]) for stage, n in counts.items()]
    parts += [(f"{unused} not used", unused, GREY)] if unused else []
    if not parts:
        return ""
    text = about + " · ".join(words for words, _, _ in parts)
    bar = "".join(
        f'<span style="flex:{n} 0 3px;background:{color}"></span>' for _, n, color in parts
    )
    legend = "".join(
        f'<span><i style="background:{color}"></i>{about}{words}</span>'
        for words, _, color in parts
    )
    return (
        f'<div role="img" aria-label="{text}" class="mt-split"><div class="mt-bar">{bar}</div>'
        f'<div class="mt-legend">{legend}</div></div>'
    )


def _notes(said: Sequence[str]) -> str:
    return "".join(note_html(text) for text in said)
