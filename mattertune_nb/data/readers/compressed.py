"""Compressed files, unpacked once into the user's cache folder and read from there."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.cache_folder import cache_folder

_OPEN: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ": ".xz", b"BZh": ".bz2"}
_LEFT_FREE = 1e9  # bytes to leave free on the cache's disk


def is_compressed(path: Path, head: bytes) -> bool:
    """Return whether, judging by its path and first bytes, a file can be unpacked by :func:`unpacked`."""
    return bool(head) and _packing(path, head) in _OPEN


def _packing(path: Path, head: bytes) -> str:
    """Return the extension matching a file's first bytes, whatever its name; if unknown, its own."""
    told = (ending for magic, ending in _MAGIC.items() if head.startswith(magic))
    return next(told, path.suffix.lower())


def unpacked(path: Path) -> Path:
    """Return the unpacked copy of a file, creating it if there is none of the file's current state.

    Raises
    ------
    DataError
        The file is damaged or truncated, or does not fit into the cache.
    """
    stat = path.stat()
    state = f"{path} {stat.st_size} {stat.st_mtime_ns}"
    folder = cache_folder("unpacked") / hashlib.sha256(str(path).encode()).hexdigest()[:24]
    # under its own name, from which its format is detected
    name = path.stem if path.suffix.lower() in _OPEN else path.name
    target = folder / hashlib.sha256(state.encode()).hexdigest()[:16] / name
    if target.is_file():
        return target
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier version
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _unpack(path, target)
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as exc:
        shutil.rmtree(folder, ignore_errors=True)
        msg = f"{path}: cannot be unpacked ({cause(exc)}). Copy it again."
        raise DataError(msg) from exc
    return target


def _unpack(path: Path, target: Path) -> None:
    """Write the unpacked copy of a file, completely or not at all."""
    with path.open("rb") as file:
        packing = _packing(path, file.read(8))
    with (
        _OPEN[packing](path, "rb") as packed,
        tempfile.NamedTemporaryFile(dir=target.parent, suffix=".tmp", delete=False) as copy,
    ):
        while chunk := packed.read(1 << 22):
            if shutil.disk_usage(target.parent).free < _LEFT_FREE:
                msg = f"{path}: the disk of {target.parent} is too full to unpack it. Unpack it elsewhere."
                raise DataError(msg)
            copy.write(chunk)
    Path(copy.name).replace(target)
