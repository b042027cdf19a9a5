"""The cache folder, for files that can be regenerated."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import platformdirs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def cache_folder(kind: str) -> Path:
    """Return the user's cache folder for one kind of file, such as ``xyz``; it may not exist."""
    return platformdirs.user_cache_path("mattertune_nb", appauthor=False) / kind


def keep(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically.

    Parameters
    ----------
    path
        The file; its folder is created.
    write
        Called with the open file.

    Raises
    ------
    OSError
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        write(file)
    Path(file.name).replace(path)


def load_array(path: Path) -> NDArray[Any] | None:
    """Return a cached array, or None if there is none or its file is damaged."""
    try:
        kept: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Cache an array atomically; if it cannot be written it will be regenerated next time."""
    with contextlib.suppress(OSError):
        keep(path, lambda file: np.save(file, array))
