"""What the command line prints to, whatever the names and contents of files are that it tells of."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from mattertune_nb.config.errors import printable


class PlainConsole(Console):
    """A console on which no text steers the terminal: control characters are written out."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as rich does."""
        plain = (printable(o, keep="\n\t") if isinstance(o, str) else o for o in objects)
        super().print(*plain, **settings)
