"""Where a run and its checkpoints are, by whatever it is given: itself, its directory, or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from mattertune_nb.config.errors import TrainingError

CHECKPOINTS, BEST, LAST, PREVIOUS = "checkpoints", "best.ckpt", "last.ckpt", "last-previous.ckpt"
"""Folder of a run that holds its checkpoints, and what they are called."""

SERIES, CALIBRATION = "series.json", "calibration.json"
"""Files of a folder of runs that belong together: which they are, and of an ensemble its factors."""

SCORECARD = "scorecard.json"
"""File in which a run, or an ensemble, keeps whether its model is fit for use."""


class RunLike(Protocol):
    """A run, or whatever else knows its directory."""

    @property
    def path(self) -> Path:
        """The run's directory."""


def path_of(place: Any) -> Path:
    """Return where a run is: of a path, a run, or what tuning returned."""
    run = getattr(place, "run", place)
    return Path(getattr(run, "path", run))


def members_of(place: Any) -> list[Path]:
    """Return the directories of an ensemble's runs that have a checkpoint; none where it is no ensemble."""
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
    """Return by what the spreads of an ensemble are multiplied; empty before it is calibrated."""
    try:
        written = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
        return {name: float(part["factor"]) for name, part in written.items()}
    except (OSError, TypeError, ValueError, KeyError, AttributeError):
        return {}


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
