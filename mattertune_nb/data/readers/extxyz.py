"""Extended XYZ, indexed, and read frame by frame however long it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.readers.reader import Reader
from mattertune_nb.data.xyz.file import IndexedXYZ

if TYPE_CHECKING:
    from pathlib import Path


def _takes(path: Path, head: bytes) -> bool:
    from ase.io.formats import UnknownFileTypeError, filetype

    if not head:
        return False
    try:
        return bool(filetype(str(path)) == "extxyz")
    except (UnknownFileTypeError, OSError):
        return False


READER = Reader("extxyz", _takes, IndexedXYZ, ("*.xyz", "*.extxyz"))
