"""Where a run and its checkpoints are, given the run, its directory, or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from mattertune_nb.config.errors import TrainingError

CHECKPOINTS, BEST, LAST, PREVIOUS = "checkpoints", "best.ckpt", "last.ckpt", "last-previous.ckpt"
"""Folder of a run that contains its checkpoints, and their file names."""

SERIES, CALIBRATION = "series.json", "calibration.json"
"""Files of a folder of runs that belong together: the list of runs, and the spread factors of an ensemble."""

SCORECARD = "scorecard.json"
"""File in which a run, or an ensemble, records whether its model is fit for use."""


class RunLike(Protocol):
    """A run, or anything else that knows its directory."""

    @property
    def path(self) -> Path:
        """The run's directory."""


def path_of(place: Any) -> Path:
    """Return the directory of a run, given a path, a run, or the result of tuning."""
    run = getattr(place, "run", place)
    return Path(getattr(run, "path", run))


def members_of(place: Any) -> list[Path]:
    """Return the directories of an ensemble's runs that have a checkpoint; empty if it is not an ensemble."""
    try:
        folder = path_of(place)
        series = json.loads((folder / SERIES).read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError):
        return []
    if not isinstance(series, dict) or series.get("kind") != "ensemble":
        return []
    found = [folder / str(name) for name in series.get("members", [])]
    return [path for path in found if (path / CHECKPOINTS / BEST).is_file()]


def factors_of(folder: Path) -> dict[str, float]:
    """Return the factors by which the spreads of an ensemble are multiplied; empty before calibration."""
    try:
        written = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
        return {name: float(part["factor"]) for name, part in written.items()}
    except (OSError, TypeError, ValueError, KeyError, AttributeError):
        return {}


def checkpoint_file(place: Any) -> Path:
    """Return the checkpoint of a run, the best if there is one, or the file itself.

    Parameters
    ----------
    place
        A run, its directory, or a checkpoint file.

    Raises
    ------
    TrainingError
        A directory contains no checkpoint.
    """
    path = path_of(place)
    if not path.is_dir():
        return path
    for name in (BEST, LAST, PREVIOUS):
        file = path / CHECKPOINTS / name
        if file.is_file():
            return file
    msg = f"{path}: it contains no checkpoint of a run. Check the path, or let the run train first."
    raise TrainingError(msg)
