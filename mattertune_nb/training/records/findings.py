"""What the doctor found in the data of a run, as its directory keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.doctor.finding import Report
from mattertune_nb.training.files import write_text

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory


def write_findings(run: RunDirectory, report: Report) -> None:
    """Write what was found into a run's directory."""
    write_text(run.findings_file, report.to_json())


def read_findings(run: RunDirectory) -> Report | None:
    """Return what was found in the data of a run; ``None`` where it was not looked for or is damaged."""
    try:
        return Report.from_json(run.findings_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
