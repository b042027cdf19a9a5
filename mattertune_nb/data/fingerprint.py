"""Identifies data by a hash of their file, or of structures in memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.plain import atoms_to_plain
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig

if TYPE_CHECKING:
    from mattertune_nb.data.sources.configs import DatasetConfig


def fingerprint(source: DatasetConfig) -> str:
    """Return the SHA-256 of a source: of its file, or of structures in memory as plain data.

    For several files it is the hash of their hashes, in order.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    if isinstance(source, AtomsListDatasetConfig):
        plain = [atoms_to_plain(atoms) for atoms in source.atoms_list]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    digests = []
    try:
        for path in source.files():
            with path.expanduser().open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as exc:
        msg = f"{source.src}: cannot be read ({exc.strerror})."
        raise DataError(msg) from exc
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def file_stamps(source: DatasetConfig) -> list[list[Any]]:
    """Return path, size and time of change (ns) of each existing file of a source."""
    if isinstance(source, AtomsListDatasetConfig):
        return []
    stamps: list[list[Any]] = []
    with contextlib.suppress(DataError, OSError, RuntimeError):  # reported when it is opened
        for path in source.files():
            stat = path.expanduser().stat()
            stamps.append([str(path), stat.st_size, stat.st_mtime_ns])
    return stamps
