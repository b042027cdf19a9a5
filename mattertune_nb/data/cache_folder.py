"""Where things are kept that can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from pathlib import Path


def cache_folder(kind: str) -> Path:
    """Return the folder for one kind of them, such as ``xyz``, in the user's cache; it may not exist."""
    return platformdirs.user_cache_path("mattertune_nb", appauthor=False) / kind
