"""Where things are kept that can be made again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cache_folder(kind: str) -> Path:
    """Return the folder for one kind of them, such as ``xyz``, in the user's cache; it may not exist."""
    return platformdirs.user_cache_path("mattertune_nb", appauthor=False) / kind


def load_array(path: Path) -> NDArray[Any] | None:
    """Return an array that was kept, or None where there is none or its file is damaged."""
    try:
        kept: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Keep an array, at once or not at all; where it cannot be written it is made again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.save(file, array)
        Path(file.name).replace(path)
    except OSError:
        return
