"""LMDB databases of ASE (``.aselmdb``), as OMat24 and OMol25 are, a row at a time."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MissingExtraError
from mattertune_nb.data.readers.reader import Reader
from mattertune_nb.data.sources.frames import DBFrames

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames


def _takes(path: Path, head: bytes) -> bool:
    return bool(head) and path.suffix.lower() == ".aselmdb"


def _open(path: Path) -> Frames:
    if importlib.util.find_spec("ase_db_backends") is None:
        msg = (
            f"{path}: LMDB needs a package that is not installed: pip install 'mattertune-nb[lmdb]'"
        )
        raise MissingExtraError(msg)
    return DBFrames(path)


READER = Reader("aselmdb", _takes, _open, ("*.aselmdb",))
