"""Pair energies before, during and after a run, as stored in its directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.physics.holes import Hole, Wall, from_plain, holes, to_plain
from mattertune_nb.training.files import write_json

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory


@dataclass(frozen=True)
class WallRecord:
    """What is known about the pair energies of a run.

    Attributes
    ----------
    untuned, tuned
        Pair energies for all pairs of elements in the target; tuned is ``None`` before the first measurement.
    is_best
        Whether the tuned ones belong to the weights that the run keeps as its best.
    epoch
        Epoch of their weights, counted from 0.
    """

    untuned: list[Wall]
    tuned: list[Wall] | None = None
    is_best: bool = False
    epoch: int = 0

    @property
    def holes(self) -> list[Hole]:
        """Holes, where pairs attract although they should repel."""
        return holes(self.untuned, self.tuned)


def write_walls(run: RunDirectory, record: WallRecord) -> None:
    """Write what is known into a run's directory."""
    tuned = None if record.tuned is None else to_plain(record.tuned)
    write_json(
        run.walls_file,
        {
            "untuned": to_plain(record.untuned),
            "tuned": tuned,
            "is_best": record.is_best,
            "epoch": record.epoch,
        },
    )


def read_walls(run: RunDirectory) -> WallRecord | None:
    """Return the record; ``None`` if nothing was computed, or the file is damaged."""
    try:
        data = json.loads(run.walls_file.read_text(encoding="utf-8"))
        tuned = None if data["tuned"] is None else from_plain(data["tuned"])
        epoch = int(data.get("epoch", 0))  # records of older versions have none
        record = WallRecord(from_plain(data["untuned"]), tuned, bool(data["is_best"]), epoch)
        _ = record.holes
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return record


def holes_in_words(found: list[dict[str, Any]] | None) -> str:
    """Return the verdict's phrase about the holes of a run.

    Parameters
    ----------
    found
        Holes as builtins, with the field names of :class:`Hole`; ``None`` if unknown.
    """
    try:
        known = None if found is None else [Hole(**hole) for hole in found]
        if known is None:
            return ""
        new = [str(hole) for hole in known if hole.is_new]
        n_before = len({hole.pair for hole in known if not hole.is_new})
    except (TypeError, ValueError):
        return ""
    pairs = "1 pair" if n_before == 1 else f"{n_before} pairs"
    before = f" ({pairs} had one before)" if n_before else ""
    if not new:
        return f"no new holes between atoms{before}"
    return f"new hole{'s' if len(new) > 1 else ''}: {', '.join(new)}{before}"
