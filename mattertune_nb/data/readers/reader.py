"""What a reader of structures is."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mattertune_nb.data.sources.frames import Frames


@dataclass(frozen=True)
class Reader:
    """How one kind of source is read.

    Attributes
    ----------
    name
        Of the format, as a config's ``format`` has it.
    takes
        Whether a file or folder is of this kind, by its path and its first bytes (none of a folder).
    open
        Opens it; raises a :class:`DataError` that names the file where it cannot.
    patterns
        Names that such files usually have, e.g. ``"*.xyz"``; by them a form and a folder find files.
    """

    name: str
    takes: Callable[[Path, bytes], bool]
    open: Callable[[Path], Frames]
    patterns: tuple[str, ...] = ()


def require_package(path: Path, what: str, package: str, extra: str) -> None:
    """Refuse a file whose reader's package is missing, with the line that installs it.

    Parameters
    ----------
    path
        The file or folder.
    what
        What it is, in words.
    package, extra
        The package by the name it is imported by, and the extra of this one that brings it.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        hint = f"pip install 'mattertune-nb[{extra}]'"
        msg = f"{path}: {what} needs a package that is not installed: {hint}"
        raise MissingExtraError(msg)
