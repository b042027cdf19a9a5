"""Findings of the doctor about the data of a run, before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from mattertune_nb.training.records.findings import read_findings
from mattertune_nb.widgets.live.pictured import PicturedView

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


class FindingsView(PicturedView):
    """The findings in ``findings.json`` of a run, each with a picture of a frame."""

    title = "Data"
    nothing_yet = "The data are checked before the first step."

    @override
    def files(self) -> tuple[Path, ...]:
        return (self._run.directory.findings_file,)

    @override
    def made(self) -> tuple[str, Figure | None]:
        report = read_findings(self._run.directory)
        return (self.nothing_yet if report is None else report.to_html()), None
