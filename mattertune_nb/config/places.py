"""Where a run and its checkpoints are, by whatever it is given: itself, its directory, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from mattertune_nb.config.errors import TrainingError

CHECKPOINTS, BEST, LAST, PREVIOUS = "checkpoints", "best.ckpt", "last.ckpt", "last-previous.ckpt"
"""Folder of a run that holds its checkpoints, and what they are called."""


class RunLike(Protocol):
    """A run, or whatever else knows its directory."""

    @property
    def path(self) -> Path:
        """The run's directory."""


def path_of(place: Any) -> Path:
    """Return where a run is: of a path, a run, or what tuning returned."""
    run = getattr(place, "run", place)
    return Path(getattr(run, "path", run))


def checkpoint_file(place: Any) -> Path:
    """Return the checkpoint of a run, the best where there is one, or the file itself.

    Parameters
    ----------
    place
        A run, its directory, or a checkpoint file.

    Raises
    ------
    TrainingError
        Where a directory holds none.
    """
    path = path_of(place)
    if not path.is_dir():
        return path
    for name in (BEST, LAST, PREVIOUS):
        file = path / CHECKPOINTS / name
        if file.is_file():
            return file
    msg = f"{path}: no checkpoint of a run in it. Check the path, or let the run train first."
    raise TrainingError(msg)
