"""The console of the command line, safe against any contents of names and files."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from mattertune_nb.config.errors import printable


class PlainConsole(Console):
    """A console on which no text can control the terminal: control characters are escaped."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as rich does."""
        plain = (printable(o, keep="\n\t") if isinstance(o, str) else o for o in objects)
        super().print(*plain, **settings)

    def say(self, line: object) -> None:
        """Print a text literally: without rich's markup and colours, and without line breaks added."""
        self.print(str(line), soft_wrap=True, markup=False, highlight=False)
