"""A run as one HTML file that opens without a kernel and without a network connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.training.files import write_text
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.written_file import WrittenFile
from mattertune_nb.widgets.report import predictions, sections
from mattertune_nb.widgets.report.html import page, paragraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.runs.run import Run


def report(run: Run, path: str | Path | None = None, dataset: Any = None) -> Path:
    """Write the results of a run to one HTML file: errors, curves, parity, settings, data.

    Parameters
    ----------
    run
        The run, which may still be training.
    path
        The file; by default ``report.html`` in the run's directory.
    dataset
        Structures with labels for parity and the worst structures; by default the validation set.

    Returns
    -------
    Path
        The file. A section whose data are missing says so, and the others are written.

    Raises
    ------
    DataError
        The file cannot be written, or `dataset` cannot be used.
    """
    target = run.path / "report.html" if path is None else Path(path)
    with InCell(f"report of {run.name}") as cell:
        cell.tell("predictions and pictures")
        run.directory.refuse_own(target, "report")
        text = _text(run, dataset)
        try:
            write_text(target, text)
        except OSError as exc:
            msg = f"{target}: cannot be written ({exc.strerror})."
            raise DataError(msg) from exc
        cell.end(f"written in {cell.seconds}")
    return WrittenFile(target)


def _text(run: Run, dataset: Any) -> str:
    try:
        found = predictions.predict(run, dataset)
    except MatterTuneError as exc:
        if dataset is not None:
            raise  # they were asked for
        missing = _missing(exc)
        shown = [("Parity", missing), ("Worst structures", missing)]
    else:
        shown = [
            ("Parity", predictions.parity(found)),
            ("Worst structures", predictions.worst(found)),
        ]
    head = sections.summary(run) + _said(lambda: run.verdict().to_html())
    parts = [
        ("Errors", _said(lambda: sections.errors(run))),
        ("Curves", _said(lambda: sections.curves(run))),
        *shown,
        ("Distance to training", _said(lambda: sections.distances(run))),
        ("Data before training", _said(lambda: sections.findings(run))),
        ("Elsewhere", _said(lambda: sections.elsewhere(run))),
        ("Walls", _said(lambda: sections.walls(run))),
        ("Fit for use", _said(lambda: sections.scorecard(run))),
        ("Data", _said(lambda: sections.data(run.config(), run))),
        ("Settings", _said(lambda: sections.settings(run.config()))),
        ("Versions", _said(lambda: sections.versions(run))),
    ]
    return page(run.name, parts, head)


def _said(section: Callable[[], str]) -> str:
    try:
        return section()
    except MatterTuneError as exc:
        return _missing(exc)


def _missing(error: MatterTuneError) -> str:
    return paragraph(f"Not shown: {error}", "bad")
