"""Whatever else ASE reads, as a whole."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.readers.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.data.frames import Frames


def ase_reader(name: str | None = None) -> Reader:
    """Return the reader of one of ASE's formats, or of whichever ASE tells a file to be of."""
    return Reader(name or "ase", lambda _path, _head: True, partial(_open, name=name))


def is_ase_format(name: str) -> bool:
    """Return whether ASE knows a format of this name."""
    from ase.io.formats import all_formats

    return name in all_formats


def _open(path: Path, name: str | None = None) -> Frames:
    import ase.io
    from ase.io.formats import UnknownFileTypeError

    try:
        frames = ase.io.read(str(path), index=":", format=name, do_not_split_by_at_sign=True)
    except DataError:
        raise
    except UnknownFileTypeError as exc:
        msg = (
            f"{path}: ASE knows no such format. Name it by `format`, or convert the file, e.g. to extended "
            "XYZ with ase.io.write."
        )
        raise DataError(msg) from exc
    except Exception as exc:  # each of ASE's readers raises its own errors
        msg = f"{path}: cannot be read ({type(exc).__name__}: {exc}). Check that it is complete."
        raise DataError(msg) from exc
    if not frames:
        msg = f"{path}: holds no structure. Check that the file is complete."
        raise DataError(msg)
    return list(frames)
