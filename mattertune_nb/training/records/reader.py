"""Reading the metrics of a run while they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.training.files import read_lines
from mattertune_nb.training.records.metrics import drop_undone

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory

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
