"""What a reader of structures is, and which there are."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError, MissingExtraError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames

GROUP = "mattertune_nb.datasets"
"""Entry points by which other packages add readers: a name, and where its :class:`Reader` is."""

HEAD = 4096
"""Bytes from the beginning of a file by which its format is told."""


@dataclass(frozen=True)
class Reader:
    """How one kind of source is read.

    Attributes
    ----------
    name
        Of the format, as a config's ``format`` has it.
    takes
        Whether a file or folder is of this kind, by its path and its first bytes (none of a folder).
    open
        Opens it; raises a :class:`DataError` that names the file where it cannot.
    patterns
        Names that such files usually have, e.g. ``"*.xyz"``; by them a form and a folder find files.
    """

    name: str
    takes: Callable[[Path, bytes], bool]
    open: Callable[[Path], Frames]
    patterns: tuple[str, ...] = ()


def require_package(path: Path, what: str, package: str, extra: str) -> None:
    """Refuse a file whose reader's package is missing, with the line that installs it.

    Parameters
    ----------
    path
        The file or folder.
    what
        What it is, in words.
    package, extra
        The package by the name it is imported by, and the extra of this one that brings it.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        hint = f"pip install 'mattertune-nb[{extra}]'"
        msg = f"{path}: {what} needs a package that is not installed: {hint}"
        raise MissingExtraError(msg)


@cache
def readers() -> tuple[Reader, ...]:
    """Return all readers in the order in which they are asked; ASE reads what none of them takes."""
    from mattertune_nb.data.readers import (
        ase_db,
        compressed,
        cp2k,
        deepmd,
        extxyz,
        json_structures,
        lmdb,
        oc20,
        parquet,
        vasp,
    )

    others = [point.load() for point in entry_points(group=GROUP)]
    own = (compressed, deepmd, lmdb, oc20, parquet, ase_db, json_structures)
    named = (cp2k.TRAJECTORY, extxyz.READER, cp2k.OUTPUT, vasp.OUTCAR, vasp.VASPRUN)
    return (*others, *(module.READER for module in own), *named)


def reader_of(path: Path, name: str | None = None) -> Reader:
    """Return the reader of a file or folder.

    Parameters
    ----------
    path
        What is to be read.
    name
        Of a reader, or of one of ASE's formats; not given: told from the path and the content.

    Raises
    ------
    DataError
        There is no reader of that name.
    """
    from mattertune_nb.data.readers.ase_files import ase_reader, is_ase_format

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
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(HEAD)
    found = next((reader for reader in readers() if reader.takes(path, head)), None)
    return found or ase_reader()


def patterns() -> tuple[str, ...]:
    """Return the names of files that some reader takes, without those of ASE's formats."""
    return tuple(dict.fromkeys(p for reader in readers() for p in reader.patterns))


def matches(path: Path, names: tuple[str, ...]) -> bool:
    """Return whether a file's name is one of some patterns, whatever its case."""
    return any(fnmatch(path.name.lower(), pattern.lower()) for pattern in names)
