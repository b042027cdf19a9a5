"""Records of metrics: reading them as they grow, which of them count, which validation is the best."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mattertune_nb.training.files import read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mattertune_nb.training.run_dir import RunDirectory


CHANGED = "changed"
"""Kind of the record that a resume with changed settings writes. ``settings`` lists the old and new values.
If the best weights are selected by another measure from then on, ``best_step`` is the validation of the best
of those still available, or ``None`` if none was measured that way."""


def drop_undone(
    records: Sequence[dict[str, Any]], *, keep_resumes: bool = False
) -> list[dict[str, Any]]:
    """Drop records of steps that were lost when a run was resumed from an earlier checkpoint.

    The records that mark a resume are dropped too, unless `keep_resumes`. Those of changed settings then
    stay, because they still hold when the steps after them are repeated.
    """
    kept: list[dict[str, Any]] = []
    for record in records:
        is_resume = record.get("kind") == "resumed"
        if is_resume:
            first = len(kept)
            while first and kept[first - 1].get("step", 0) >= record.get("step", 0):
                first -= 1
            kept[first:] = [undone for undone in kept[first:] if undone.get("kind") == CHANGED]
        if keep_resumes or not is_resume:
            kept.append(record)
    return kept


def made_record(kind: str, epoch: int, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the current time."""
    return {"kind": kind, "time": time.time(), "epoch": epoch, "step": step, **values}


def complete(
    run: RunDirectory, written: Sequence[Mapping[str, Any]], known: Sequence[dict[str, Any]]
) -> None:
    """Restore records that a checkpoint knows but the file lacks, lost by a kill or a torn line.

    Parameters
    ----------
    run
        The run's directory.
    written
        The valid part of its record.
    known
        The last records before the checkpoint.
    """
    there = [_without_time(record) for record in written]
    for record in known:
        if _without_time(record) not in there:
            # with the current time: time before a resume is not training time
            run.append({**record, "time": time.time()})


def _without_time(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "time"}


def best_record(records: Sequence[Mapping[str, Any]], monitor: str, mode: str) -> dict[str, Any]:
    """Return the record of the validation whose weights are kept; empty before one."""
    found: list[Mapping[str, Any]] = []
    for record in records:
        if record.get("kind") == CHANGED and "best_step" in record:
            # of the earlier weights, only those of one validation were still available
            found = [r for r in found if r["step"] == record["best_step"]]
        elif isinstance(record.get(monitor), (int, float)):
            found.append(record)  # values that were not finite are stored as null
    choose = min if mode == "min" else max
    return dict(choose(found, key=lambda r: r[monitor])) if found else {}


# a record contains its time of writing: no two files begin the same, whereas inodes may repeat
_BEGINNING = 64


class RecordReader:
    """Reads a growing record of metrics piece by piece, each line once.

    Parameters
    ----------
    run
        The run's directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._start = b""
        self.damaged = 0
        """Number of lines left out, see :func:`~mattertune_nb.training.files.read_lines`."""
        self._records: list[dict[str, Any]] = []

    def new_records(self) -> tuple[list[dict[str, Any]], bool]:
        """Return what was written since the last call.

        Returns
        -------
        records
            The new records, including those that mark a resume; all of them if the run was resumed from an
            earlier step, or replaced by a new one of the same name.
        restarted
            Whether the earlier ones no longer count.
        """
        replaced = self._is_replaced()
        if replaced:
            self._forget()
        elif not self._run.metrics_file.exists():
            return [], False
        records, self._offset, damaged = read_lines(self._run.metrics_file, self._offset)
        self.damaged += damaged
        if self._offset and not self._start:
            self._start = self._beginning(min(self._offset, _BEGINNING))
        if any(record.get("kind") == "resumed" for record in records):
            self._records = drop_undone([*self._records, *records], keep_resumes=True)
            return self._records, True
        self._records += records
        return records, replaced

    def _is_replaced(self) -> bool:
        """Return whether the file is another one than the one read so far."""
        if not self._offset:
            return False
        file = self._run.metrics_file
        if not file.exists():
            # a new run has no file yet; while a directory is being deleted, the old file counts
            return self._run.status().state == "starting"
        return file.stat().st_size < self._offset or (
            self._beginning(len(self._start)) != self._start
        )

    def _beginning(self, n: int) -> bytes:
        with self._run.metrics_file.open("rb") as file:
            return file.read(n)
