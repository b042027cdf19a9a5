"""ASE's LMDB databases (``.aselmdb``), such as OMat24 and OMol25, one row at a time."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.readers.reader import Reader, require_package
from mattertune_nb.data.sources.frames import DBFrames

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames


_MAGIC = 0xBEEFC0DE


def refuse_cut_off(path: Path) -> None:
    """Refuse an LMDB that is shorter than it declares; a process reading it would be killed by the system.

    Raises
    ------
    DataError
        A part of the file is missing, or it is not an LMDB.
    """
    if path.is_dir():
        path = path / "data.mdb"
    needed, page, newest = 0, 0, -1
    with contextlib.suppress(OSError, struct.error), path.open("rb") as file:
        # the first two pages each give the page size, the last page, and the transaction
        for _ in range(2):
            file.seek(page)
            meta = file.read(152)
            (magic,), (size,) = (struct.unpack_from("<I", meta, place) for place in (16, 40))
            last, transaction = struct.unpack_from("<QQ", meta, 136)
            if magic == _MAGIC and transaction > newest:
                newest, needed = transaction, (last + 1) * size
            page = size
    if not needed:
        msg = f"{path}: cannot be read as LMDB. Check that it is complete."
        raise DataError(msg)
    present = path.stat().st_size
    if present < needed:
        msg = f"{path}: is cut off, {present} bytes of {needed} are there. Copy it again."
        raise DataError(msg)


def _takes(path: Path, head: bytes) -> bool:
    return bool(head) and path.suffix.lower() == ".aselmdb"


def _open(path: Path) -> Frames:
    require_package(path, "LMDB", "ase_db_backends", "lmdb")
    refuse_cut_off(path)
    return DBFrames(path)


READER = Reader("aselmdb", _takes, _open, ("*.aselmdb",))
