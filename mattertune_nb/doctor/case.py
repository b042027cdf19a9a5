"""The interface of a rule, and the data it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mattertune_nb.doctor import compared
from mattertune_nb.doctor.finding import Finding

if TYPE_CHECKING:
    from mattertune_nb.doctor.compared import EnergiesCompared, ForcesCompared
    from mattertune_nb.doctor.facts import Facts
    from mattertune_nb.doctor.predicted import Predicted

_FEWEST, _SIZES, _PER_ATOM_GAIN = 10, 1.5, 5.0


@dataclass(frozen=True)
class Exchanged:
    """Two exchanged elements.

    Attributes
    ----------
    elements
        Their symbols.
    likeness
        Median correlation of forces and prediction as they stand, and with the two elements exchanged.
    n_frames
        Number of frames predicted.
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
        What is known about its frames.
    source
        Its name in messages.
    predicted
        The untuned backbone's predictions for some of the frames, if there is one.
    elements
        Symbols of the elements known to the backbone; ``None``: any.
    exchanged
        Two exchanged elements, if the backbone was asked and found some.
    asked
        Labels of which the user must say which value they are.
    """

    facts: Facts
    source: str
    predicted: Predicted | None = None
    elements: tuple[str, ...] | None = None
    exchanged: Exchanged | None = None
    asked: frozenset[str] = frozenset()

    @cached_property
    def energies(self) -> EnergiesCompared | None:
        """Energies of the predicted frames beside their labels; ``None`` if there are none."""
        return None if self.predicted is None else compared.energies(self.facts, self.predicted)

    @cached_property
    def forces(self) -> ForcesCompared | None:
        """Forces of the predicted frames beside their labels; ``None`` if there are none."""
        return None if self.predicted is None else compared.forces(self.facts, self.predicted)

    @property
    def is_model_guide_to_energies(self) -> bool:
        """Whether the model may be taken at its word: one that is off in the forces is so in energies."""
        return self.forces is None or self.forces.are_none or self.forces.is_guide_for(0)

    @cached_property
    def left_of_energies(self) -> tuple[float, float]:
        """What one energy per element leaves of them as totals, and as energies per atom, both in eV.

        NaN where there are few, or where all frames are about as large.
        """
        facts = self.facts
        has = np.flatnonzero(np.isfinite(facts.energy) & (facts.n_atoms > 0))
        sizes, counts, energy = facts.n_atoms[has], facts.counts[has], facts.energy[has]
        if len(has) < _FEWEST or sizes.max() < _SIZES * sizes.min():
            return np.nan, np.nan
        as_totals = compared.about_references(counts, energy) * sizes
        per_atom = compared.about_references(counts, energy * sizes)
        return compared.spread_of(as_totals), compared.spread_of(per_atom)

    @property
    def has_energies_per_atom(self) -> bool:
        """Whether the energies do not grow with the number of atoms."""
        total, per_atom = self.left_of_energies
        return per_atom * _PER_ATOM_GAIN < total


Rule: TypeAlias = Callable[[Case], Iterable[Finding]]
"""Examines a data set and yields its findings."""
