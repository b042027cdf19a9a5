"""What counts of a record of metrics, and which validation is the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def drop_undone(
    records: Sequence[dict[str, Any]], *, keep_resumes: bool = False
) -> list[dict[str, Any]]:
    """Drop records of steps that were lost when a run was resumed from an earlier checkpoint.

    The records that say that it was resumed are dropped too, unless `keep_resumes`.
    """
    kept: list[dict[str, Any]] = []
    for record in records:
        if record.get("kind") == "resumed":
            while kept and kept[-1].get("step", 0) >= record.get("step", 0):
                kept.pop()
            if not keep_resumes:
                continue
        kept.append(record)
    return kept


def best_record(records: Sequence[Mapping[str, Any]], monitor: str, mode: str) -> dict[str, Any]:
    """Return the record of the validation whose weights are kept, empty before one."""
    # what was no finite number stands there as null
    found = [r for r in records if isinstance(r.get(monitor), (int, float))]
    choose = min if mode == "min" else max
    return dict(choose(found, key=lambda r: r[monitor])) if found else {}
