"""By which data are known again: a hash of their file, or of structures in memory."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.datasets import AtomsListDatasetConfig
from mattertune_nb.data.plain import atoms_to_plain

if TYPE_CHECKING:
    from mattertune_nb.data.datasets import DatasetConfig


def fingerprint(source: DatasetConfig) -> str:
    """Return the SHA-256 of a source: of its file as it is, or of structures in memory as plain data.

    Raises
    ------
    DataError
        Where the file cannot be read.
    """
    if isinstance(source, AtomsListDatasetConfig):
        plain = [atoms_to_plain(atoms) for atoms in source.atoms_list]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    try:
        with source.src.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        msg = f"{source.src}: cannot be read ({exc.strerror})."
        raise DataError(msg) from exc
