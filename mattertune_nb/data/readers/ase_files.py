"""All other formats ASE reads; files are read as a whole."""

from __future__ import annotations

import mmap
import re
import warnings
from functools import partial
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError, MissingExtraError, cause
from mattertune_nb.data.readers.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

_AIMS = re.compile(rb"^ +Begin self-consistency loop: ", re.MULTILINE)
_OF_OUT_FILES = ("espresso-out", "gaussian-out", "out", "log", "txt", "")
"""Formats that ASE takes an output of FHI-aims for whose first lines are missing, by its name."""


class MarkedFrames(list["Atoms"]):
    """Frames of a calculation.

    Attributes
    ----------
    unconverged
        Positions of the frames whose electronic steps did not converge.
    """

    def __init__(self, frames: list[Atoms], unconverged: frozenset[int]) -> None:
        super().__init__(frames)
        self.unconverged = unconverged


def ase_reader(name: str | None = None) -> Reader:
    """Return the reader of one of ASE's formats, or of whichever format ASE detects."""
    return Reader(name or "ase", lambda _path, _head: True, partial(read_by_ase, fmt=name))


def is_ase_format(name: str) -> bool:
    """Return whether ASE knows a format of this name."""
    from ase.io.formats import all_formats

    return name in all_formats


def read_by_ase(path: Path, fmt: str | None = None) -> list[Atoms]:
    """Return all frames of a file in one of ASE's formats.

    Parameters
    ----------
    path
        The file.
    fmt
        ASE's name of its format; by default detected from file name and content.

    Raises
    ------
    DataError
        ASE does not know the format, cannot read the file, or finds no structure in it.
    MissingExtraError
        A package needed to read it is missing.
    """
    import ase.io

    fmt = fmt or _format_of(path)
    try:
        with warnings.catch_warnings():
            # which of its packages will read a format later is of no use to the user
            warnings.simplefilter("ignore", FutureWarning)
            frames = ase.io.read(str(path), index=":", format=fmt, do_not_split_by_at_sign=True)
    except DataError:
        raise
    except ModuleNotFoundError as exc:
        msg = f"{path}: a file of '{fmt}' needs the package {exc.name}: pip install {exc.name}"
        raise MissingExtraError(msg) from exc
    except Exception as exc:  # each of ASE's readers raises its own errors
        msg = (
            f"{path}: cannot be read as '{fmt}' ({cause(exc)}). Check that it is one and complete; `format` "
            "names another."
        )
        raise DataError(msg) from exc
    if not frames:
        msg = (
            f"{path}: read as '{fmt}', it holds no structure. Check that the file is complete; `format` "
            "names another format, e.g. aims-output."
        )
        raise DataError(msg)
    return list(frames)


def _format_of(path: Path) -> str:
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        fmt = str(filetype(str(path)))
    except UnknownFileTypeError:
        fmt = ""
    if fmt in _OF_OUT_FILES and _is_of_aims(path):
        return "aims-output"
    # if nothing else identifies the format, ASE takes the file extension for it
    if fmt not in ioformats:
        msg = (
            f"{path}: is of no known format. If ASE reads it, name its format by `format`, e.g. "
            "'vasp-xdatcar'; otherwise write the structures as extended XYZ with the program that made them."
        )
        raise DataError(msg)
    if not ioformats[fmt].can_read:
        msg = (
            f"{path}: a file of '{fmt}' cannot be read back as structures. Give the structures themselves, "
            "e.g. as extended XYZ."
        )
        raise DataError(msg)
    return fmt


def _is_of_aims(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return _AIMS.search(text) is not None
