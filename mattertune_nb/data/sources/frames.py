"""Sequences of frames: a cache of limited size in front of a reader, and ASE databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.labels.units import with_lengths
from mattertune_nb.data.lru import BoundedMemory
from mattertune_nb.data.xyz.file import existing_file, is_sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ase import Atoms

_OVERHEAD = 4096  # bytes; an Atoms and its calculator without their arrays


class Frames(Protocol):
    """Structures that are read on demand, by their position from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Atoms: ...


class Layer:
    """Frames of a reader, cached or modified in passing.

    Parameters
    ----------
    frames
        The frames read.
    """

    keeps_text: ClassVar[bool] = True
    """Whether positions and cells are still those in the file's text."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)


class CachedFrames(Layer):
    """Frames of a reader, the most recently used of which stay in memory up to a limit.

    Parameters
    ----------
    frames
        Frames that are slow to read, e.g. an :class:`~mattertune_nb.data.xyz.file.IndexedXYZ`.
    megabytes
        Memory limit; 0 keeps nothing.
    """

    def __init__(self, frames: Frames, megabytes: float) -> None:
        super().__init__(frames)
        self.kept: BoundedMemory[int, Atoms] = BoundedMemory(megabytes)

    def __getitem__(self, i: int) -> Atoms:
        atoms = self.kept.get(i)
        if atoms is None:
            atoms = self.frames[i]
            self.kept.put(i, atoms, frame_bytes(atoms))
        return atoms


class ScaledFrames(Layer):
    """Frames of a reader with positions and cells multiplied by a factor.

    Parameters
    ----------
    frames
        The frames read.
    factor
        The file's unit of length in Å.
    """

    keeps_text = False

    def __init__(self, frames: Frames, factor: float) -> None:
        super().__init__(frames)
        self.factor = factor

    def __getitem__(self, i: int) -> Atoms:
        return with_lengths(self.frames[i], self.factor)


class InformedFrames(Layer):
    """Frames of a reader, with common values added to the ``info`` of those that lack them.

    Parameters
    ----------
    frames
        The frames read.
    info
        Values by key.
    """

    def __init__(self, frames: Frames, info: Mapping[str, Any]) -> None:
        super().__init__(frames)
        self.info = dict(info)

    def __getitem__(self, i: int) -> Atoms:
        read = self.frames[i]
        atoms = read.copy()
        atoms.calc = read.calc
        atoms.info = {**self.info, **read.info}
        return atoms


def frame_bytes(atoms: Atoms) -> int:
    """Return the approximate memory taken by a structure and its labels."""
    results = getattr(atoms.calc, "results", {}) if atoms.calc is not None else {}
    values = [*atoms.arrays.values(), *atoms.info.values(), *results.values()]
    return _OVERHEAD + sum(v.nbytes for v in values if isinstance(v, np.ndarray))


class DBFrames:
    """Rows of an ASE database that match a selection, read one at a time.

    The row's key-value pairs and data are put into ``atoms.info``, which is searched for labels, and so are
    the units that SchNetPack writes into the database.

    Parameters
    ----------
    path
        The database.
    selection
        ASE's own syntax, e.g. ``"natoms<50,source=dft"``; empty for all rows.

    Raises
    ------
    DataError
        The file is not a database, the selection is invalid, or no row matches it.
    """

    def __init__(self, path: str | Path, selection: str = "") -> None:
        self.path = existing_file(path)
        # ASE infers the kind of database from the file extension
        self._kind = "db" if is_sqlite(self.path) else "extract_from_name"
        try:
            with self._connected() as db:
                rows = db.select(selection, include_data=False)
                found = [(row.id, row.natoms) for row in rows]
                self._units = _units_in(db.metadata)
        except Exception as exc:  # sqlite, JSON and ASE each raise their own
            msg = (
                f"{path}: cannot select '{selection}' ({cause(exc)}). Check the "
                "selection, and that the file is an ASE database."
            )
            raise DataError(msg) from exc
        if not found:
            msg = f"{path}: no row fits the selection '{selection}'."
            raise DataError(msg)
        self.ids = np.array([row_id for row_id, _ in found], dtype=np.int64)
        self.n_atoms = np.array([n for _, n in found], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Atoms:
        # a new connection each time: an SQLite connection must not cross a fork
        try:
            row = self._connected().get(id=int(self.ids[i]))
            atoms = row.toatoms()
        except IndexError:
            raise
        except Exception as exc:
            msg = f"{self.path}, row id {self.ids[i]}: cannot be read ({cause(exc)})."
            raise DataError(msg) from exc
        atoms.info.update({**self._units, **row.data, **row.key_value_pairs})
        return atoms

    def _connected(self) -> Any:
        import ase.db

        return ase.db.connect(self.path, type=self._kind)


def _units_in(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the units stated in a database, in the form in which a structure states them."""
    units = {"length_unit": metadata.get("_distance_unit")}
    for name, unit in (metadata.get("_property_unit_dict") or {}).items():
        units[f"{name}_unit"] = unit
    return {name: unit for name, unit in units.items() if isinstance(unit, str)}
