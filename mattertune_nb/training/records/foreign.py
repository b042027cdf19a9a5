"""Errors on structures away from the target, as stored in a run's directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.physics.kinds import OWN
from mattertune_nb.training.files import write_json

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory


@dataclass(frozen=True)
class ForeignRecord:
    """What is known about a foreign set.

    Attributes
    ----------
    source
        File of the structures; empty if they were generated.
    counts
        Number of structures of each kind.
    untuned, tuned
        ``forces`` in eV/Å and ``energy`` in eV/atom; for a set without labels, untuned is zero and tuned is
        the change. Tuned is ``None`` before it is measured.
    by_kind
        Tuned, for each kind.
    epoch
        Epoch of the measured weights, counted from 0.
    is_best
        Whether these are the weights that the run keeps as its best.
    """

    source: str
    counts: dict[str, int]
    untuned: dict[str, float]
    tuned: dict[str, float] | None = None
    by_kind: dict[str, dict[str, float]] | None = None
    epoch: int = 0
    is_best: bool = False

    @property
    def n_structures(self) -> int:
        """Number of structures in `tuned`; those of the target's elements alone are counted separately."""
        others = sum(n for kind, n in self.counts.items() if kind != OWN)
        return others or sum(self.counts.values())

    @property
    def own(self) -> dict[str, float] | None:
        """Tuned, for structures made only of the target's elements, if there are others as well."""
        return (self.by_kind or {}).get(OWN) if len(self.counts) > 1 else None

    @property
    def has_labels(self) -> bool:
        """Whether the untuned model is also compared with labels."""
        return any(self.untuned.values())


def write_foreign(run: RunDirectory, record: ForeignRecord) -> None:
    """Write a record into a run's directory."""
    write_json(run.foreign_file, asdict(record))


def read_foreign(run: RunDirectory) -> ForeignRecord | None:
    """Return the record; ``None`` if nothing was measured, or the file is damaged."""
    try:
        return foreign_from(json.loads(run.foreign_file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def foreign_from(data: Any) -> ForeignRecord | None:
    """Return a record from plain data; ``None`` if they are not valid."""
    try:
        record = ForeignRecord(**data)
        numbers = [record.untuned, record.tuned or {}, *(record.by_kind or {}).values()]
        for part in numbers:
            _ = {name: float(part[name]) for name in ("forces", "energy") if part}
        return record if record.n_structures >= 0 else None
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
