"""Distances from the training frames, as stored in a run's directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.model.novelty import Novelty
from mattertune_nb.training.files import write_json

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory


def write_novelty(run: RunDirectory, found: dict[str, Novelty]) -> None:
    """Write distances into a run's directory."""
    written = {
        stage: {"positions": n.positions.tolist(), "distances": np.round(n.distances, 6).tolist()}
        for stage, n in found.items()
    }
    write_json(run.distances_file, written)


def read_novelty(run: RunDirectory) -> dict[str, Novelty]:
    """Return the distances of a run; empty if none were measured or the file is damaged."""
    try:
        written = json.loads(run.distances_file.read_text(encoding="utf-8"))
        return {
            stage: Novelty(
                np.array(part["positions"], dtype=np.int64),
                np.array(part["distances"], dtype=np.float64),
            )
            for stage, part in written.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
