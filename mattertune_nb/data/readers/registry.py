"""The available readers of structures, and the choice of the one that opens a file."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError, did_you_mean
from mattertune_nb.data.readers import (
    ase_db,
    cp2k,
    deepmd,
    espresso,
    extxyz,
    json_structures,
    lmdb,
    oc20,
    parquet,
    vasp,
)
from mattertune_nb.data.readers.ase_files import ase_reader, is_ase_format
from mattertune_nb.data.readers.compressed import is_compressed, unpacked
from mattertune_nb.data.readers.reader import Reader
from mattertune_nb.data.xyz.file import existing_file

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames

GROUP = "mattertune_nb.datasets"
"""Entry points by which other packages add readers: a name, and the location of a :class:`Reader`."""

HEAD = 4096
"""Bytes at the beginning of a file from which its format is detected."""


_OUTPUTS = (cp2k.OUTPUT, vasp.OUTCAR, vasp.VASPRUN, espresso.READER)


@cache
def readers() -> tuple[Reader, ...]:
    """Return all readers in the order in which they are tried; ASE reads what none of them takes."""
    others = [point.load() for point in entry_points(group=GROUP)]
    own = (deepmd, lmdb, oc20, parquet, ase_db, json_structures)
    named = (cp2k.TRAJECTORY, extxyz.READER, *_OUTPUTS)
    return (*others, COMPRESSED, *(module.READER for module in own), *named)


def is_output(path: Path) -> bool:
    """Return whether a file, of whatever name, is the output of a calculation by its content."""
    head = _head(path)
    return any(reader.takes(path, head) for reader in _OUTPUTS)


def reader_of(path: Path, name: str | None = None) -> Reader:
    """Return the reader of a file or folder.

    Parameters
    ----------
    path
        The file or folder.
    name
        Name of a reader or of one of ASE's formats; by default detected from path and content.

    Raises
    ------
    DataError
        There is no reader with this name.
    """
    if name is not None:
        named = next((reader for reader in readers() if reader.name == name), None)
        if named is not None:
            return named
        if is_ase_format(name):
            return ase_reader(name)
        known = [reader.name for reader in readers()]
        msg = (
            f"format: '{name}' is no format.{did_you_mean(name, known)} There are {', '.join(known)}, and "
            "those of ASE (ase info --formats)."
        )
        raise DataError(msg)
    head = _head(path)
    found = next((reader for reader in readers() if reader.takes(path, head)), None)
    return found or ase_reader()


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(HEAD)


def patterns() -> tuple[str, ...]:
    """Return the file name patterns of all readers, without those of ASE's formats."""
    return tuple(dict.fromkeys(p for reader in readers() for p in reader.patterns))


def matches(path: Path, names: tuple[str, ...]) -> bool:
    """Return whether a file's name matches one of the patterns in `names`, ignoring case."""
    return any(fnmatch(path.name.lower(), pattern.lower()) for pattern in names)


def open_one(path: Path, fmt: str | None = None) -> Frames:
    """Open a file, or a folder that is a single data set.

    Raises
    ------
    DataError
        It is missing, empty, damaged, or of unknown format.
    """
    if not is_data_set(path):
        path = existing_file(path)
    return reader_of(path, fmt).open(path)


def is_data_set(path: Path) -> bool:
    """Return whether some reader takes a folder as one data set, rather than as a folder of files."""
    return path.is_dir() and any(reader.takes(path, b"") for reader in readers())


def _open_compressed(path: Path) -> Frames:
    copy = unpacked(path)
    if copy.stat().st_size == 0:
        msg = f"{path}: holds nothing once it is unpacked. Check that it was written completely."
        raise DataError(msg)
    try:
        return open_one(copy)
    except DataError as exc:
        raise DataError(str(exc).replace(str(copy), str(path))) from None


COMPRESSED = Reader(
    "compressed",
    is_compressed,
    _open_compressed,
    ("*.xyz.gz", "*.extxyz.gz", "*.xyz.xz", "*.extxyz.xz"),
)
