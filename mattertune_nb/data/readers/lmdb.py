"""LMDB databases of ASE (``.aselmdb``), as OMat24 and OMol25 are, a row at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.readers.reader import Reader, require_package
from mattertune_nb.data.sources.frames import DBFrames

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames


def _takes(path: Path, head: bytes) -> bool:
    return bool(head) and path.suffix.lower() == ".aselmdb"


def _open(path: Path) -> Frames:
    require_package(path, "LMDB", "ase_db_backends", "lmdb")
    return DBFrames(path)


READER = Reader("aselmdb", _takes, _open, ("*.aselmdb",))
