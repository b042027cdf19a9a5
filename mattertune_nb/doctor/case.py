"""What a rule is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from mattertune_nb.doctor import compared
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from mattertune_nb.doctor.compared import EnergiesCompared, ForcesCompared
    from mattertune_nb.doctor.facts import Facts
    from mattertune_nb.doctor.predicted import Predicted


@dataclass(frozen=True)
class Exchanged:
    """Two elements in each other's place.

    Attributes
    ----------
    elements
        Their symbols.
    likeness
        Median correlation of forces and prediction as they stand, and with the two exchanged.
    n_frames
        How many frames were predicted.
    """

    elements: tuple[str, str]
    likeness: tuple[float, float]
    n_frames: int


@dataclass(frozen=True)
class Case:
    """A data set under examination.

    Attributes
    ----------
    facts
        What is known of its frames.
    source
        What messages call it.
    predicted
        What the untuned backbone predicts for some of the frames, where there is one.
    elements
        Symbols that the backbone knows; ``None``: any.
    exchanged
        Two elements in each other's place, where the backbone was asked and found some.
    """

    facts: Facts
    source: str
    predicted: Predicted | None = None
    elements: tuple[str, ...] | None = None
    exchanged: Exchanged | None = None

    @cached_property
    def energies(self) -> EnergiesCompared | None:
        """Energies of the predicted frames beside their labels; ``None`` where there are none."""
        return None if self.predicted is None else compared.energies(self.facts, self.predicted)

    @cached_property
    def forces(self) -> ForcesCompared | None:
        """Forces of the predicted frames beside their labels; ``None`` where there are none."""
        return None if self.predicted is None else compared.forces(self.facts, self.predicted)


Rule: TypeAlias = Callable[[Case], Iterable[Finding]]
"""Looks at a data set and says what it finds."""
