"""The console of the command line, safe against any contents of names and files."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from mattertune_nb.config.escaped import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class PlainConsole(Console):
    """A console on which no text can control the terminal: control characters are escaped."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as rich does."""
        plain = (printable(o, keep="\n\t") if isinstance(o, str) else o for o in objects)
        super().print(*plain, **settings)

    def say(self, line: object) -> None:
        """Print a text literally: without rich's markup and colours, and without line breaks added."""
        self.print(str(line), soft_wrap=True, markup=False, highlight=False)


@contextlib.contextmanager
def passing_bar(*, disable: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on the standard error that leaves nothing behind, on a terminal only.

    Yields
    ------
    callable
        To be called with what is done, how much of it, and of how much.
    """
    # a disabled bar still ends with a line break
    quiet = disable or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True, quiet=quiet), transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total)

        yield show


def note(kind: str, color: str, message: str) -> None:
    """Print one line to the standard error, in which brackets are not read as rich's markup."""
    line = Text.assemble((kind, color), " ", " ".join(printable(message, keep="\n\t").split()))
    Console(stderr=True, soft_wrap=True, highlight=False).print(line)


def note_warnings() -> None:
    """Print warnings meant for people once, as one line, without the place in the code that raised them."""
    usual = warnings.showwarning
    said: set[str] = set()  # the runs of a series say the same of their data

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if category is UserWarning:
            if str(message) not in said:
                said.add(str(message))
                note("Warning:", "yellow", str(message))
        else:
            usual(message, category, *rest)

    warnings.showwarning = show  # type: ignore[assignment]
