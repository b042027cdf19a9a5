"""ASE databases in SQLite, row by row; anything stored with a structure is searched for labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.readers.reader import Reader
from mattertune_nb.data.sources.frames import DBFrames

if TYPE_CHECKING:
    from pathlib import Path


def _takes(path: Path, head: bytes) -> bool:
    del path
    return head.startswith(b"SQLite format 3\0")


READER = Reader("db", _takes, DBFrames, ("*.db",))
