"""Where frames come from: a bounded cache in front of a reader, and ASE databases."""

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

_OVERHEAD = 4096  # bytes; an Atoms and its calculator, beside their arrays


class Frames(Protocol):
    """Structures that are read when asked for, by their position from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Atoms: ...


class Layer:
    """Frames of a reader, kept or changed on their way.

    Parameters
    ----------
    frames
        What is read.
    """

    keeps_text: ClassVar[bool] = True
    """Whether positions and cells are still those that the file has in words."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)


class CachedFrames(Layer):
    """Frames of a reader, of which those used last stay in memory up to a bound.

    Parameters
    ----------
    frames
        What is slow to read, e.g. an :class:`~mattertune_nb.data.xyz.file.IndexedXYZ`.
    megabytes
        Bound of the memory; 0 keeps nothing.
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
    """Frames of a reader with positions and cells times a factor.

    Parameters
    ----------
    frames
        What is read.
    factor
        How many Å are one of the file's units of length.
    """

    keeps_text = False

    def __init__(self, frames: Frames, factor: float) -> None:
        super().__init__(frames)
        self.factor = factor

    def __getitem__(self, i: int) -> Atoms:
        return with_lengths(self.frames[i], self.factor)


class InformedFrames(Layer):
    """Frames of a reader, with what holds for all of them in the ``info`` of those that do not say it.

    Parameters
    ----------
    frames
        What is read.
    info
        Values by their keys.
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
    """Return about how much memory a structure and its labels take."""
    results = getattr(atoms.calc, "results", {}) if atoms.calc is not None else {}
    values = [*atoms.arrays.values(), *atoms.info.values(), *results.values()]
    return _OVERHEAD + sum(v.nbytes for v in values if isinstance(v, np.ndarray))


class DBFrames:
    """Rows of an ASE database that fit a selection, read one at a time.

    The row's key-value pairs and its data stand in ``atoms.info``, where labels are looked for.

    Parameters
    ----------
    path
        The database.
    selection
        ASE's own syntax, e.g. ``"natoms<50,source=dft"``; empty for all rows.

    Raises
    ------
    DataError
        The file is no database, the selection is not valid, or no row fits it.
    """

    def __init__(self, path: str | Path, selection: str = "") -> None:
        self.path = existing_file(path)
        # ASE tells the kind of a database from the ending of its name
        self._kind = "db" if is_sqlite(self.path) else "extract_from_name"
        try:
            with self._connected() as db:
                rows = db.select(selection, include_data=False)
                found = [(row.id, row.natoms) for row in rows]
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
        # connected anew each time: an SQLite connection must not cross a fork
        try:
            row = self._connected().get(id=int(self.ids[i]))
            atoms = row.toatoms()
        except IndexError:
            raise
        except Exception as exc:
            msg = f"{self.path}, row id {self.ids[i]}: cannot be read ({cause(exc)})."
            raise DataError(msg) from exc
        atoms.info.update({**row.data, **row.key_value_pairs})
        return atoms

    def _connected(self) -> Any:
        import ase.db

        return ase.db.connect(self.path, type=self._kind)
