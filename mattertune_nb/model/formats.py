"""Versions of the checkpoint format, and how older checkpoints are upgraded.

A checkpoint is a mapping of tensors and builtins, written by ``torch.save`` or, for archiving, as
safetensors; the page *How it works* lists its parts. Its ``format`` is one of:

1. Version 0.1, which had no ``format``: reference energies did not change during training.
2. ``normalization.first_references`` are the references training started with; written with ``format``
or, by versions before 0.3, without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FORMAT = 2
"""The format being written. When older versions of this package could not read what is written, increase
it, add the upgrade from the previous format to :data:`MIGRATIONS`, and add a sample file to the tests."""

KEY = "format"
"""Key under which a checkpoint stores its format."""


def _first_references(contents: dict[str, Any]) -> None:
    state, fitted = contents["state_dict"], "normalization.references"
    if fitted in state:
        state.setdefault("normalization.first_references", state[fitted].clone())


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], None]] = {1: _first_references}
"""For each format, the function that upgrades a checkpoint to the next one, in place."""


def upgrade(contents: dict[str, Any], source: str | Path = "the checkpoint") -> None:
    """Upgrade a checkpoint of any older format to the newest, in place.

    Parameters
    ----------
    contents
        Contents of the checkpoint.
    source
        Its name in messages.

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
