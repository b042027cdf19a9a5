"""Describes the effects of a run on structures away from its target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.training.outcome.stages import AT_START, UNTUNED, gain, short
from mattertune_nb.training.records.foreign import ForeignRecord, foreign_from

if TYPE_CHECKING:
    from mattertune_nb.training.records.summary import Summary


@dataclass(frozen=True)
class Elsewhere:
    """Errors on a foreign set, before and after.

    Attributes
    ----------
    record
        As the run keeps them.
    than
        Name of the reference of the comparison.
    """

    record: ForeignRecord
    than: str = UNTUNED

    @property
    def forces(self) -> float:
        """Error of the tuned model, or change if there are no labels, in meV/Å."""
        return FORCES.factor * (self.record.tuned or {})[FORCES.name]

    @property
    def energy(self) -> float:
        """The same in meV/atom."""
        return ENERGY.factor * (self.record.tuned or {})[ENERGY.name]

    def __str__(self) -> str:
        record = self.record
        when = "" if record.is_best else f" after epoch {record.epoch + 1}"
        n = "1 structure" if record.n_structures == 1 else f"{record.n_structures} structures"
        if not record.has_labels:
            own = record.own
            and_own = (
                f" (of the target's elements alone by {short(FORCES.factor * own[FORCES.name])})"
                if own
                else ""
            )
            return (
                f"elsewhere ({n}{when}) forces changed by {short(self.forces)} {FORCES.shown_unit}{and_own}, "
                f"energies by {short(self.energy)} {ENERGY.shown_unit}"
            )
        parts = []
        for prop, after in ((FORCES, self.forces), (ENERGY, self.energy)):
            before = prop.factor * record.untuned[prop.name]
            words = gain(before, after)[0].replace("smaller", "better").replace("larger", "worse")
            parts.append(
                f"{prop.title} {short(before)} → {short(after)} {prop.shown_unit}, {words} than {self.than}"
            )
        return f"elsewhere ({Path(record.source).name}, {n}{when}) {', '.join(parts)}"


def elsewhere(summary: Summary) -> Elsewhere | None:
    """Return the effects of a run elsewhere, ``None`` if nothing was measured."""
    record = foreign_from(summary.foreign)
    if record is None or record.tuned is None:
        return None
    return Elsewhere(record, AT_START if summary.began_tuned else UNTUNED)
