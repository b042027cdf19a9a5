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

    def say(self, line: object) -> None:
        """Print a text as it is: without rich's markup and colours, and never broken to fit the terminal."""
        self.print(str(line), soft_wrap=True, markup=False, highlight=False)
