"""Extended XYZ files of any length, indexed and read frame by frame."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mattertune_nb.data.readers.reader import Reader
from mattertune_nb.data.xyz.file import IndexedXYZ

if TYPE_CHECKING:
    from pathlib import Path


_BEGINS = re.compile(rb"(?i)\s*\d+[ \t]*\r?\n[^\n]*\b(properties|lattice)=")
"""A number of atoms, and a line found in no other format."""


def _takes(path: Path, head: bytes) -> bool:
    from ase.io.formats import UnknownFileTypeError, filetype

    if not head:
        return False
    try:  # the file may have the extension of another format, such as dat
        return _BEGINS.match(head) is not None or bool(filetype(str(path)) == "extxyz")
    except (UnknownFileTypeError, OSError):
        return False


READER = Reader("extxyz", _takes, IndexedXYZ, ("*.xyz", "*.extxyz"))
