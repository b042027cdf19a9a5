"""Tables with a structure per row: Parquet, and the Arrow files of Hugging Face's datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.readers.json_structures import SPECIES, from_record
from mattertune_nb.data.readers.reader import Reader, require_package

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from mattertune_nb.data.sources.frames import Frames


# pyarrow's own errors are subclasses of these, or these themselves
_DAMAGED = (OSError, ValueError, TypeError, LookupError, OverflowError, NotImplementedError)


class TableFrames:
    """Rows of a table as structures; for Parquet, one row group is in memory at a time.

    Columns have the same names as the entries of a structure in JSON: ``numbers`` or ``species``,
    ``positions``, ``cell``, ``pbc``, or pymatgen's ``structure``; all others are searched for labels.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    n_atoms
        Number of atoms of each row, (n_rows,), int64, if there is a column of elements; else None.

    Raises
    ------
    DataError
        The file cannot be read, or has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            counts = self._row_counts()
            self.n_atoms = self._n_atoms()
        except _DAMAGED as exc:
            raise self._error(exc) from exc
        self._starts = np.cumsum([0, *counts])
        self._group: tuple[int, Any] | None = None
        if not len(self):
            msg = f"{path}: holds no row. Check that it is complete."
            raise DataError(msg)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, i: int) -> Atoms:
        """Return the structure of row `i`.

        Raises
        ------
        DataError
            The row does not contain a structure.
        IndexError
            There is no such row.
        """
        if not -len(self) <= i < len(self):
            msg = f"{self.path} has {len(self)} rows, there is no row {i}"
            raise IndexError(msg)
        i %= len(self)
        group = int(np.searchsorted(self._starts, i, side="right")) - 1
        try:
            if self._group is None or self._group[0] != group:
                self._group = group, self._read(group)
            (record,) = self._group[1].slice(i - int(self._starts[group]), 1).to_pylist()
        except _DAMAGED as exc:
            raise self._error(exc) from exc
        return from_record(record, f"{self.path}, frame {i}")

    def _error(self, exc: Exception) -> DataError:
        return DataError(
            f"{self.path}: cannot be read as a table ({cause(exc)}). Check that it is complete."
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_group": None}

    @property
    def _is_parquet(self) -> bool:
        return self.path.suffix.lower() == ".parquet"

    def _row_counts(self) -> list[int]:
        if not self._is_parquet:
            return [self._read(0).num_rows]
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self.path) as file:
            return [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]

    def _read(self, group: int, columns: list[str] | None = None) -> Any:
        if self._is_parquet:
            from pyarrow.parquet import ParquetFile

            with ParquetFile(self.path) as file:
                return file.read_row_group(group, columns=columns)
        import pyarrow as pa

        mapped = pa.memory_map(str(self.path))
        try:
            return pa.ipc.open_stream(mapped).read_all()
        except pa.ArrowInvalid:  # Hugging Face's datasets writes streams, other programs files
            return pa.ipc.open_file(mapped).read_all()

    def _n_atoms(self) -> Any:
        import pyarrow.compute as pc

        counts = []
        for group in range(len(self._row_counts())):
            table = self._read(group) if not self._is_parquet else None
            names = self._names() if table is None else table.column_names
            name = next((name for name in SPECIES if name in names), None)
            if name is None:
                return None
            column = (self._read(group, [name]) if table is None else table)[name]
            counts.append(pc.list_value_length(column).to_numpy(zero_copy_only=False))
        return np.concatenate(counts).astype(np.int64) if counts else None

    def _names(self) -> list[str]:
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self.path) as file:
            return list(file.schema_arrow.names)


def _takes(path: Path, head: bytes) -> bool:
    return bool(head) and path.suffix.lower() in (".parquet", ".arrow")


def _open(path: Path) -> Frames:
    require_package(path, "a table", "pyarrow", "parquet")
    return TableFrames(path)


READER = Reader("parquet", _takes, _open, ("*.parquet", "*.arrow"))
