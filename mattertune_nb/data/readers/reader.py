"""The interface of a reader of structures."""

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
        Name of the format, as in a config's ``format``.
    takes
        Returns whether a file or folder is of this kind, given its path and first bytes (none for a folder).
    open
        Opens it; raises a :class:`DataError` that names the file if that fails.
    patterns
        Usual names of such files, e.g. ``"*.xyz"``, by which forms and folders find them.
    """

    name: str
    takes: Callable[[Path, bytes], bool]
    open: Callable[[Path], Frames]
    patterns: tuple[str, ...] = ()


def require_package(path: Path, what: str, package: str, extra: str) -> None:
    """Refuse a file if the package that reads it is missing, giving the line that installs it.

    Parameters
    ----------
    path
        The file or folder.
    what
        Kind of file, in words.
    package, extra
        Import name of the package, and this package's extra that installs it.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        hint = f"pip install 'mattertune-nb[{extra}]'"
        msg = f"{path}: {what} needs a package that is not installed: {hint}"
        raise MissingExtraError(msg)
