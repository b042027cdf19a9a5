"""Finds the labels among the values of a data set: determined from all frames, or left to the user."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase.units import GPa

from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, STRESSES
from mattertune_nb.data.labels.choice import Candidate, Choice
from mattertune_nb.data.labels.last_resort import Unnamed, last_resort
from mattertune_nb.data.labels.names import FOLLOWS, Reading, read_name
from mattertune_nb.data.labels.values import in_voigt_order, numbers_of, stored_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ase import Atoms
    from numpy.typing import NDArray

_EQUAL = 1e-6
"""Two values are equal if they differ by less than this, relative to the larger one and in eV."""

_LARGEST_STRESS = 2.0
"""eV/Å³, 320 GPa; few data sets contain matter compressed further."""


class LabelSearch:
    """Collects frames one by one, and determines which of their values are labels.

    Attributes
    ----------
    n_frames
        Number of frames collected.
    keys
        Names of all their values.
    """

    def __init__(self) -> None:
        self.n_frames = 0
        self.keys: set[str] = set()
        self._found: dict[str, dict[str, Candidate]] = {label: {} for label in PROPERTIES}
        self._unnamed = Unnamed()
        # largest difference between two values, over the frames that have both
        self._apart: dict[tuple[str, str], float] = {}
        self._largest = 0
        self._smearing = 0.0
        self._first: bytes | None = None
        self._is_one_structure = True

    def add(self, atoms: Atoms, stored: Mapping[str, Any] | None = None) -> None:
        """Add one frame, and its values if they are already known."""
        self.n_frames += 1
        self._largest = max(self._largest, len(atoms))
        values: dict[str, dict[str, NDArray[np.float64]]] = {label: {} for label in PROPERTIES}
        kinetic = None
        for key, value in (stored_values(atoms) if stored is None else stored).items():
            self.keys.add(key)
            reading = _reading(key, value, len(atoms))
            if reading.label is None:
                self._unnamed.add(key, value, len(atoms))
                continue
            array = _shaped(reading, value, len(atoms))
            if array is None:
                continue
            found = self._found[reading.label]
            is_usable = reading.label != STRESSES.name or bool(atoms.pbc.all())
            found.setdefault(key, Candidate(key, reading)).add(array, is_usable=is_usable)
            if reading.excluded is None:
                values[reading.label][key] = array
            elif reading.excluded == "a kinetic energy" and array.size == 1:
                kinetic = float(array)
        energies = values[ENERGY.name]
        if {"energy", "free_energy"} <= energies.keys():
            gap = abs(float(energies["energy"] - energies["free_energy"]))
            self._smearing = max(self._smearing, gap)
        for label, arrays in values.items():
            self._compare(label, arrays, kinetic if label == ENERGY.name else None)
        if self._is_one_structure:
            now = atoms.positions.tobytes() + atoms.numbers.tobytes()
            self._first = self._first or now
            self._is_one_structure = now == self._first

    def _compare(
        self, label: str, arrays: dict[str, NDArray[np.float64]], kinetic: float | None
    ) -> None:
        keys = list(arrays)
        for i, one in enumerate(keys):
            for two in keys[i + 1 :]:
                gap = _gap(arrays[one], arrays[two])
                self._widen((label, one, two), gap)
                if kinetic is not None:
                    self._widen(("sum", one, two), _gap(arrays[one], arrays[two] + kinetic))
                    self._widen(("sum", two, one), _gap(arrays[two], arrays[one] + kinetic))

    def _widen(self, pair: Any, gap: float) -> None:
        self._apart[pair] = max(self._apart.get(pair, 0.0), gap)

    def choose(self, label: str) -> Choice:
        """Return the conclusion about a label."""
        choice = Choice(label, self.n_frames)
        found = self._found[label]
        choice.counts = {key: c.n_frames for key, c in found.items()}
        choice.excluded = {
            key: c.reading.excluded for key, c in found.items() if c.reading.excluded is not None
        }
        left = [c for c in found.values() if c.reading.excluded is None]
        choice.other = [c for c in left if c.reading.kind in FOLLOWS]
        left = sorted((c for c in left if c not in choice.other), key=lambda c: c.reading.rank)
        left = self._without_sums(left, choice)
        left = self._without_constants(left, choice)
        left = self._without_repeats(label, left, choice)
        plain = [c for c in left if c.reading.doubt is None]
        left = plain or left
        if label == ENERGY.name:
            left = self._without_smearing(left, choice)
        if len(left) > 1 and self._complete_each_other(label, left):
            choice.parts = left
        elif len(left) > 1 or (left and left[0].reading.doubt):
            choice.open = left
        elif left:
            choice.key, choice.candidate = left[0].key, left[0]
        else:
            choice.open = last_resort(label, found.values(), self._unnamed)
            choice.is_last_resort = bool(choice.open)
        return choice

    def choices(self, given: Mapping[str, str] | None = None) -> dict[str, Choice]:
        """Return the conclusions about every label; names already given for some are taken as they are."""
        given = given or {}
        return {
            label: self._named(label, given[label]) if label in given else self.choose(label)
            for label in PROPERTIES
        }

    def _named(self, label: str, key: str) -> Choice:
        candidates = self._found[label]
        counts = {name: c.n_frames for name, c in candidates.items()}
        return Choice(label, self.n_frames, key, counts=counts, candidate=candidates.get(key))

    def likely(self, label: str) -> list[str]:
        """Return the names that may be a label, the likeliest first; without related quantities."""
        found = [
            c
            for c in self._found[label].values()
            if c.reading.excluded is None and c.reading.kind not in FOLLOWS
        ]
        return [c.key for c in sorted(found, key=lambda c: c.reading.rank)]

    def findings(self, label: str, keys: Iterable[str], *, unit_is_own: bool = True) -> list[str]:
        """Return why values under some names are unlikely to be labels, although they can be read.

        Parameters
        ----------
        label
            The property.
        keys
            Names under which the label is looked for.
        unit_is_own
            Whether the values are already in eV and Å.
        """
        found = []
        for c in (self._found[label][key] for key in keys if key in self._found[label]):
            largest = max(abs(c.low), abs(c.high))
            if (
                c.n_frames > 1
                and largest == 0
                and not (label == FORCES.name and self._largest == 1)
            ):
                found.append(f"'{c.key}' is zero in all {c.n_frames} frames: is it a placeholder?")
            elif c.is_constant and label == ENERGY.name and not self._is_one_structure:
                found.append(
                    f"'{c.key}' is {c.low:g} eV in all {c.n_frames} frames: is it a placeholder?"
                )
            elif label == STRESSES.name and unit_is_own and _LARGEST_STRESS < largest < np.inf:
                found.append(
                    f"'{c.key}' reaches {largest:.4g} eV/Å³, {largest / GPa:,.0f} GPa: is it "
                    "in another unit? Set units.stress, e.g. to 'kbar' or 'GPa'"
                )
        return found

    def _without_sums(self, left: list[Candidate], choice: Choice) -> list[Candidate]:
        """Drop the conserved energy of a trajectory: the sum of another candidate and the kinetic energy."""
        keys = [c.key for c in left]
        for total in keys:
            for potential in keys:
                gap = self._apart.get(("sum", total, potential))  # type: ignore[arg-type]
                if total != potential and gap is not None and gap < 1:
                    choice.excluded[total] = f"'{potential}' and the kinetic energy together"
        return [c for c in left if c.key not in choice.excluded]

    def _without_constants(self, left: list[Candidate], choice: Choice) -> list[Candidate]:
        """Drop values that are constant over all frames if another is not: they are not labels."""
        if self._is_one_structure or all(c.is_constant for c in left):
            return left
        for c in left:
            if c.is_constant:
                choice.excluded[c.key] = f"the same number ({c.low:g}) in all frames"
        return [c for c in left if not c.is_constant]

    def _without_repeats(
        self, label: str, left: list[Candidate], choice: Choice
    ) -> list[Candidate]:
        kept: list[Candidate] = []
        for c in left:
            twin = next(
                (
                    k
                    for k in kept
                    if self._gap(label, k.key, c.key) < 1 and k.n_frames >= c.n_frames
                ),
                None,
            )
            if twin is None:
                kept.append(c)
            else:
                choice.same.append(c.key)
        return kept

    def _without_smearing(self, left: list[Candidate], choice: Choice) -> list[Candidate]:
        """Take the free energy if both are present, because forces are its gradients."""
        free = [c for c in left if c.reading.kind == "free energy"]
        others = [c for c in left if c.reading.kind != "free energy"]
        if not free:
            return left
        if not others:
            if free[0].key.lower() == "free_energy":
                choice.notes.append(
                    "the energy is the free energy ('free_energy'), whose gradients are the forces"
                )
            return left
        if {c.key for c in left} == {"energy", "free_energy"}:
            taken, other = free[0], others[0]
            if taken.n_frames < other.n_frames:
                return [other]
            choice.smearing = self._smearing
            choice.notes.append(
                f"{choice.smearing_told}; forces are gradients of the free energy, so 'free_energy' is "
                f"used, as in SevenNet. Set energy_key='energy' to use the other"
            )
            choice.same.append(other.key)
            return [taken]
        return left

    def _gap(self, label: str, one: str, two: str) -> float:
        pairs: Any = ((label, one, two), (label, two, one))
        return next((self._apart[p] for p in pairs if p in self._apart), np.inf)

    def _complete_each_other(self, label: str, left: list[Candidate]) -> bool:
        """Return whether no frame has two of the candidates."""
        return sum(c.n_frames for c in left) <= self.n_frames and all(
            np.isinf(self._gap(label, one.key, two.key))
            for i, one in enumerate(left)
            for two in left[i + 1 :]
        )


def _reading(key: str, value: Any, n_atoms: int) -> Reading:
    """Interpret a name; a single number cannot be the energies of atoms, whatever its name."""
    reading = read_name(key)
    is_one = reading.kind == "of atoms" and np.size(value) == 1 and n_atoms > 1
    return replace(reading, kind="plain") if is_one else reading


def _shaped(reading: Reading, value: Any, n_atoms: int) -> NDArray[np.float64] | None:
    """Return a value as numbers if it has the shape of a label."""
    array, label = numbers_of(value), reading.label
    if array is None:
        return None
    if reading.kind == "of atoms" and array.shape == (n_atoms,):
        return np.asarray(array.sum())
    if label == ENERGY.name:
        return array.reshape(()) if array.size == 1 and array.ndim <= 1 else None
    if label == FORCES.name:
        return array if array.shape == (n_atoms, 3) else None
    if label == STRESSES.name and array.shape in ((6,), (9,), (3, 3), (1, 3, 3)):
        return in_voigt_order(array)
    return None


def _gap(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Return the difference between two values, in units of what counts as equal."""
    scale = max(float(np.abs(one).max(initial=0.0)), float(np.abs(two).max(initial=0.0)), 1.0)
    gap = float(np.abs(one - two).max(initial=0.0))
    return gap / scale / _EQUAL if np.isfinite(gap) else np.inf
