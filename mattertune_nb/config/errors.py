"""Errors meant for people: one line with what is wrong, where, and what to do about it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from mattertune_nb.config.escaped import printable

if TYPE_CHECKING:
    from collections.abc import Iterable


LONGEST = 80
"""Number of characters of the given value that a message repeats."""

_LONGEST_CAUSE = 200

_LONG_WORD = re.compile(rf"[^\s/\\]{{{LONGEST + 1},}}")


def cut(text: str) -> str:
    """Return a text as a message repeats it, shortened if it is long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def check_path() -> str:
    """Return what to do about a path where nothing is."""
    return f"Check the path; relative ones start at {Path.cwd()}."


def cause(error: Exception) -> str:
    """Return how another library reports a failure: the error's type and first line, cut if long.

    For pickle errors only the first sentence: torch's next sentences advise running the code in the file.
    """
    lines = str(error).strip().splitlines()
    if lines and isinstance(error, UnpicklingError):
        lines = lines[0].split(". ")
    return f"{type(error).__name__}: {lines[0][:_LONGEST_CAUSE]}" if lines else type(error).__name__


class MatterTuneError(Exception):
    """Base of every error whose message is enough for a user; the CLI prints no traceback for it.

    Parameters
    ----------
    message
        One line. Any single long word repeated from a file or a setting is cut; paths are not.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_LONG_WORD.sub(lambda word: cut(word[0]), printable(message)))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows below a cell: the message, without the lines of code on its way."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(MatterTuneError, ValueError):
    """A setting is unknown, out of bounds, or inconsistent with the others.

    Attributes
    ----------
    problems
        Pairs of a field's path, e.g. ``("trainer", "max_epochs")``, and what is wrong with it; empty if the
        error does not concern single fields. Forms show each beside its field.
    """

    problems: tuple[tuple[tuple[str | int, ...], str], ...] = ()

    @classmethod
    def from_problems(
        cls, where: str, problems: Iterable[tuple[tuple[str | int, ...], str]]
    ) -> ConfigError:
        """Build the one-line error from the problems of single fields.

        Parameters
        ----------
        where
            The file or class, named first.
        problems
            Path and message for each field.
        """
        problems = tuple(problems)
        text = "; ".join(
            f"{'.'.join(cut(str(part)) for part in path)}: {text}" if path else text
            for path, text in problems
        )
        error = cls(f"{where}: {text}" if where else text)
        error.problems = problems
        return error


def about(text: str, *path: str) -> ConfigError:
    """Return the error of a validator that compares several settings, shown beside one of them."""
    return ConfigError.from_problems("", [(path, text)])


class DataError(MatterTuneError, ValueError):
    """A file, a frame or a label cannot be used."""


class MissingExtraError(MatterTuneError, ImportError):
    """An optional package is not installed; the message contains the pip command."""


class RunError(MatterTuneError, RuntimeError):
    """A run directory is in use, missing or cannot be resumed."""


class TrainingError(MatterTuneError, RuntimeError):
    """Training cannot start on this machine, or had to stop."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest allowed word, or an empty string."""
    matches = get_close_matches(word[:LONGEST], list(allowed), n=1, cutoff=0.6)
    return f" Did you mean '{matches[0]}'?" if matches else ""
