"""Paths of files written for a person, which a notebook shows as links."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.ipython import served_by_voila

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # before Python 3.12, Path itself has no subclasses

_READABLE = {".html", ".csv", ".json", ".txt", ".xyz", ".extxyz", ".png", ".svg", ".yaml", ".md"}
"""Extensions of files that JupyterLab opens; a link to any other downloads it."""


class WrittenFile(_Path):
    """The path of a file that was written; as the result of a cell, a link that opens it.

    It is a ``Path`` in every other respect, also when stored.
    """

    def _repr_html_(self) -> str | None:
        """Return a link relative to the notebook, which a front end resolves; none if it cannot reach it."""
        file, start = self.resolve(), _notebook_folder()
        # Voila gives no files to its page
        if served_by_voila() or not file.is_file() or not file.is_relative_to(start):
            return None
        place = escaped(quote(file.relative_to(start).as_posix()))
        name = escaped(str(self))
        if file.suffix.lower() in _READABLE:
            return f'<a href="{place}" target="_blank">{name}</a>'
        return f'<a href="{place}" download="{escaped(self.name)}">{name}</a> (download)'

    def __reduce__(self) -> tuple[Any, ...]:
        return Path, (str(self),)


def _notebook_folder() -> Path:
    """Return the folder of the notebook, of which a cell may have left the kernel in another."""
    notebook = Path(os.environ.get("JPY_SESSION_NAME", ""))
    return (notebook.parent if notebook.is_absolute() else Path()).resolve()
