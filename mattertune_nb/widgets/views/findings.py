"""The doctor's findings in the frames of a view, with pictures and buttons that show the frames."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.backbones.registry import available
from mattertune_nb.doctor.check import check
from mattertune_nb.widgets.page.controls import shared
from mattertune_nb.widgets.page.work import Step, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.doctor.finding import Finding, Report

_NONE = "no backbone"
_EVERY = 25
"""Frames between two reports of the progress."""


class FindingsPanel:
    """A button that checks the frames, and the findings.

    Parameters
    ----------
    dataset
        The frames.
    show
        Called with the frame numbers of a finding that the user wants to see.
    """

    def __init__(self, dataset: AtomsDataset, show: Callable[[tuple[int, ...]], None]) -> None:
        self._dataset, self._show = dataset, show
        self.report: Report | None = None
        names = [name for name, info in available().items() if info.installed]
        self.backbone = W.Dropdown(
            options=[(_NONE, None), *((name, name) for name in names)],
            tooltip="Its untuned weights predict a sample, which reveals wrong units, signs and outliers",
            layout=W.Layout(width="150px"),
        )
        self.button = W.Button(
            description="Check",
            tooltip="Check units, signs, placeholders, duplicates and outliers",
            layout=shared(W.Layout, width="84px"),
        )
        self.button.on_click(lambda _: self.start())
        self._progress, self._found = W.VBox(), W.VBox()
        line = W.HBox([self.backbone, self.button, self._progress])
        self.widget = W.VBox([line, self._found])

    @property
    def text(self) -> str:
        """All text about the frames, as HTML."""
        parts = [w for row in self._found.children for w in getattr(row, "children", [row])]
        return "".join(w.value for w in parts if isinstance(w, W.HTML))

    def start(self) -> None:
        """Check the frames; an earlier check is forgotten."""
        self.report, self._found.children = None, []
        self.work = Work(self._steps(), self._tell)
        self._progress.children = [self.work]
        self.work.start()

    def _steps(self) -> Iterator[Step]:
        """Check the frames in a separate thread, which pauses while the work is cancelled."""
        news: queue.Queue[Step | Exception | None] = queue.Queue(maxsize=1)

        def report(what: str, done: int, total: int) -> None:
            if done % _EVERY == 0 or done == total:
                news.put(Step(what, done, total, "frames"))

        def look() -> None:
            try:
                self.report = check(self._dataset, self.backbone.value, progress=report)
                news.put(None)
            except Exception as exc:  # raised where the work is done
                news.put(exc)

        threading.Thread(target=look, daemon=True, name="mattertune_nb check").start()
        while (step := news.get()) is not None:
            if isinstance(step, Exception):
                raise step
            yield step

    def _tell(self) -> None:
        if self.report is None or self._found.children:
            return
        rows = [self._row(finding) for finding in self.report]
        self._found.children = [W.HTML(f"<div>{self.report.summary()}</div>"), *rows]

    def _row(self, finding: Finding) -> W.Widget:
        words = W.HTML(finding.to_html(), layout=W.Layout(flex="1 1 300px"))
        if not finding.frames:
            return words
        n = len(finding.frames)
        button = W.Button(
            description="show it" if n == 1 else f"show the {n}",
            tooltip="Show only these frames in the plots and in the structure view",
            layout=shared(W.Layout, width="110px"),
        )
        button.on_click(lambda _: self._show(finding.frames))
        return W.HBox([words, button])
