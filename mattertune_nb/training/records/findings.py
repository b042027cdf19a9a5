"""The doctor's findings about the data of a run, as stored in its directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.doctor.finding import Report
from mattertune_nb.training.files import write_text

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory


def write_findings(run: RunDirectory, report: Report) -> None:
    """Write findings into a run's directory."""
    write_text(run.findings_file, report.to_json())


def read_findings(run: RunDirectory) -> Report | None:
    """Return the findings about the data of a run; ``None`` if there was no check or the file is damaged."""
    try:
        return Report.from_json(run.findings_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
