"""Records of metrics: which of them count, and which validation is the best."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


CHANGED = "changed"
"""Kind of the record that a resume with changed settings writes. ``settings`` lists the old and new values.
If the best weights are selected by another measure from then on, ``best_step`` is the validation of the best
of those still available, or ``None`` if none was measured that way."""


def drop_undone(
    records: Sequence[dict[str, Any]], *, keep_resumes: bool = False
) -> list[dict[str, Any]]:
    """Drop records of steps that were lost when a run was resumed from an earlier checkpoint.

    The records that mark a resume are dropped too, unless `keep_resumes`. Those of changed settings then
    stay, because they still hold when the steps after them are repeated.
    """
    kept: list[dict[str, Any]] = []
    for record in records:
        is_resume = record.get("kind") == "resumed"
        if is_resume:
            first = len(kept)
            while first and kept[first - 1].get("step", 0) >= record.get("step", 0):
                first -= 1
            kept[first:] = [undone for undone in kept[first:] if undone.get("kind") == CHANGED]
        if keep_resumes or not is_resume:
            kept.append(record)
    return kept


def made_record(kind: str, epoch: int, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the current time."""
    return {"kind": kind, "time": time.time(), "epoch": epoch, "step": step, **values}


def lost_records(
    written: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return records that a checkpoint knows but the file lacks, lost by a kill or a torn line.

    They carry the current time, because time before a resume is not training time.

    Parameters
    ----------
    written
        The valid part of the file.
    known
        The last records before the checkpoint.
    """
    there = [_without_time(record) for record in written]
    return [
        {**record, "time": time.time()} for record in known if _without_time(record) not in there
    ]


def _without_time(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "time"}


def best_record(records: Sequence[Mapping[str, Any]], monitor: str, mode: str) -> dict[str, Any]:
    """Return the record of the validation whose weights are kept; empty before one."""
    found: list[Mapping[str, Any]] = []
    for record in records:
        if record.get("kind") == CHANGED and "best_step" in record:
            # of the earlier weights, only those of one validation were still available
            found = [r for r in found if r["step"] == record["best_step"]]
        elif isinstance(record.get(monitor), (int, float)):
            found.append(record)  # values that were not finite are stored as null
    return dict(max(found, key=lambda r: rank(r[monitor], mode))) if found else {}


def rank(value: float, mode: str) -> float:
    """Return how good a value of the monitor is: more is better, whether it should fall or rise.

    Parameters
    ----------
    value
        The metric that selects the weights.
    mode
        Whether it should fall, ``"min"``, or rise, ``"max"``.
    """
    return -value if mode == "min" else value


def worst(mode: str) -> float:
    """Return the value of a monitor than which any other is better."""
    return rank(-math.inf, mode)
