"""Versions of what a checkpoint holds, and how older ones become the newest.

A checkpoint is a mapping of tensors and builtins, written by ``torch.save`` or, to be archived, as
safetensors; the page *How it works* lists its parts. Its ``format`` is one of:

1. Version 0.1, which had no ``format``: reference energies did not change in training.
2. ``normalization.first_references`` are those that training began with; written with ``format`` or, by
   versions before 0.3, without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FORMAT = 2
"""That which is written. Raise it where older versions of this package could not read what is written, add
to :data:`MIGRATIONS` how the one before becomes it, and a file of it to the tests."""

KEY = "format"
"""Where a checkpoint says which it is."""


def _first_references(contents: dict[str, Any]) -> None:
    state, fitted = contents["state_dict"], "normalization.references"
    if fitted in state:
        state.setdefault("normalization.first_references", state[fitted].clone())


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], None]] = {1: _first_references}
"""What turns a checkpoint of each format, in place, into one of the next."""


def upgrade(contents: dict[str, Any], source: str | Path = "the checkpoint") -> None:
    """Turn a checkpoint of any older format, in place, into one of the newest.

    Parameters
    ----------
    contents
        Of the checkpoint.
    source
        What it is called, for people.

    Raises
    ------
    TrainingError
        A newer version of this package wrote it.
    """
    written = contents.get(KEY, min(MIGRATIONS))
    if not isinstance(written, int) or written > FORMAT:
        msg = (
            f"{source}: written in format {written} by a newer version of mattertune_nb; this one reads up "
            f"to {FORMAT}. Update it: pip install -U mattertune-nb"
        )
        raise TrainingError(msg)
    for number in range(written, FORMAT):
        MIGRATIONS[number](contents)
    contents[KEY] = FORMAT
