"""DeePMD-kit folders, read by dpdata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.readers.by_dpdata import read_by_dpdata
from mattertune_nb.data.readers.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames


def _takes(path: Path, head: bytes) -> bool:
    del head
    return path.is_dir() and (path / "type.raw").is_file()


def _open(path: Path) -> Frames:
    is_npy = any(path.glob("set.*/coord.npy"))
    is_labelled = any(path.glob("set.*/energy.npy")) or (path / "energy.raw").is_file()
    fmt = "deepmd/npy" if is_npy else "deepmd/raw"
    return read_by_dpdata(path, fmt, "a folder of DeePMD", is_labelled=is_labelled)


READER = Reader("deepmd", _takes, _open)
