"""Where things are kept that can be made again."""

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
    """Return the folder for one kind of them, such as ``xyz``, in the user's cache; it may not exist."""
    return platformdirs.user_cache_path("mattertune_nb", appauthor=False) / kind


def keep(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file, at once or not at all.

    Parameters
    ----------
    path
        The file; its folder is made.
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
    """Return an array that was kept, or None where there is none or its file is damaged."""
    try:
        kept: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Keep an array, at once or not at all; where it cannot be written it is made again next time."""
    with contextlib.suppress(OSError):
        keep(path, lambda file: np.save(file, array))
