"""Candidates for a label when no name fits: the user is asked, and nothing is taken silently."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.data.labels.choice import Candidate
from mattertune_nb.data.labels.names import FOLLOWS, PER_ATOM, Reading, words_of
from mattertune_nb.data.labels.values import numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_OTHER_QUANTITIES = words_of(
    "time step steps t temperature temp pressure press volume vol density charge charges spin multiplicity "
    "magmom magmoms mag magnetization magnetisation moment dipole polarizability quadrupole alpha beta "
    "lambda natoms n frame iteration seed mass masses id index version velocities velocity velo vel "
    "momenta momentum displacement displacements disp position positions pos coords image images born "
    "cutoff weight kpoints kspacing"
)
"""Words in names of quantities that are neither an energy nor a force."""


class Unnamed:
    """Collects values with uninformative names, and reports those with the shape of a label."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Candidate]] = {ENERGY.name: {}, FORCES.name: {}}

    def add(self, key: str, value: Any, n_atoms: int) -> None:
        """Add the value of one frame."""
        array = numbers_of(value)
        if array is None or words_of(key) & _OTHER_QUANTITIES:
            return
        if array.shape == (n_atoms, 3):
            label = FORCES.name
        elif array.size == 1 and not _is_count(value):
            label = ENERGY.name
        else:
            return
        reading = Reading(label, doubt="an uninformative name")
        self._found[label].setdefault(key, Candidate(key, reading)).add(array, is_usable=True)

    def candidates(self, label: str) -> list[Candidate]:
        """Return those that are not the same number in all frames."""
        return [c for c in self._found.get(label, {}).values() if not c.is_constant]


def last_resort(label: str, named: Iterable[Candidate], unnamed: Unnamed) -> list[Candidate]:
    """Return what the user may mean by a label when no name fits; for energy and forces only.

    Parameters
    ----------
    label
        The property.
    named
        Values whose names suggest the label, but say that they are something else or a related quantity.
    unnamed
        Values with uninformative names.
    """
    if label not in (ENERGY.name, FORCES.name):
        return []
    asked = [
        replace(c, reading=replace(c.reading, doubt=_told(c.reading)))
        for c in named
        if not c.is_constant or c.reading.kind in FOLLOWS
    ]
    return asked + unnamed.candidates(label)


def _told(reading: Reading) -> str | None:
    """Return what a value is instead of the label, and what would be made of it."""
    if reading.excluded == PER_ATOM:
        return f"{PER_ATOM}, which would be multiplied by the number of atoms"
    follows = FOLLOWS.get(reading.kind)
    return reading.excluded or (None if follows is None else f"{follows} would be taken")


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and int(value) >= 0
