"""Values that may be a label, and what was decided about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.properties import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mattertune_nb.data.labels.names import Reading


@dataclass
class Candidate:
    """A value that may be a label.

    Attributes
    ----------
    key
        Under which it stands.
    reading
        What its name says.
    n_frames
        Frames that have it.
    n_usable
        Those in which it is finite, and for a stress the cell periodic in three directions.
    low, high
        Its range over all frames and components.
    evidence
        How it compares with what an untuned model says, where one was asked.
    """

    key: str
    reading: Reading
    n_frames: int = 0
    n_usable: int = 0
    low: float = np.inf
    high: float = -np.inf
    evidence: str = ""

    def add(self, array: NDArray[np.float64], *, is_usable: bool) -> None:
        """Take in the value of one frame."""
        self.n_frames += 1
        finite = array[np.isfinite(array)]
        self.n_usable += is_usable and finite.size == array.size
        if finite.size:
            self.low, self.high = min(self.low, finite.min()), max(self.high, finite.max())

    @property
    def is_constant(self) -> bool:
        """Whether it is the same number in every frame, and in more than one."""
        return self.n_frames > 1 and self.low == self.high

    def told(self, n_frames: int, unit: str) -> str:
        """Return its range and number of frames, e.g. ``6 of 6 frames, -6.8 to -6.75 eV``."""
        text = f"{self.n_frames} of {n_frames} frames, {self.low:.6g} to {self.high:.6g} {unit}"
        return "; ".join(filter(None, (text, self.reading.doubt, self.evidence)))


@dataclass
class Choice:
    """What was decided about one label.

    Attributes
    ----------
    label
        The property.
    key, candidate
        The name to take, and what is known of it; ``None`` where there is none, or where it has to be asked.
    open
        The candidates among which a person has to choose.
    same
        Further names of the same values.
    excluded
        Names that look like the label and are something else, with what they are.
    parts
        Names that complete each other, each in other frames.
    other
        Names of the quantity from which the label would follow: a virial, a gradient.
    notes
        What a person should know of the choice.
    smearing
        Largest difference of the energy and the free energy of a frame in eV, where both stand.
    counts
        Frames of each value that looks like the label.
    is_last_resort
        Whether no value is called so, and those that are open are what a person may mean all the same.
    """

    label: str
    n_frames: int
    key: str | None = None
    open: list[Candidate] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    parts: list[Candidate] = field(default_factory=list)
    other: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    smearing: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    candidate: Candidate | None = None
    is_last_resort: bool = False

    @property
    def smearing_told(self) -> str:
        """How far energy and free energy are apart."""
        gap = f"{1000 * (self.smearing or 0.0):.3g} meV per frame"
        return f"'energy' and 'free_energy' differ by up to {gap}, by the smearing of electrons"

    def notes_of_standard(self) -> list[str]:
        """Return what a person should know where no name is set, so that the standard name counts."""
        if self.smearing is None:
            return []
        return [
            f"{self.smearing_told}; 'energy' is taken, as no name is set, though forces are gradients of the "
            "free energy: energy_key='free_energy' takes that"
        ]

    @property
    def question(self) -> str | None:
        """A sentence that asks which it is, where that could not be told."""
        prop = PROPERTIES[self.label]
        if self.parts:
            names = " and ".join(f"'{c.key}' in {c.n_frames}" for c in self.parts)
            both = "|".join(c.key for c in self.parts)
            return (
                f"no name holds the {self.label} of all frames: {names} of {self.n_frames}. Where they are "
                f"the same quantity set {prop.key_field}='{both}', otherwise choose one of them."
            )
        if not self.open:
            return None
        told = "; ".join(f"'{c.key}' ({c.told(self.n_frames, prop.unit)})" for c in self.open)
        if self.is_last_resort:
            return (
                f"no value is plainly the {self.label}. It may be {told}. Set {prop.named_by} to the name "
                f"of the one that is, or take the {self.label} out of the properties."
            )
        which = "this may be" if len(self.open) == 1 else f"which of these {prop.verb}"
        return f"{which} the {self.label}: {told}. Set {prop.named_by} to its name."


def key_settings(choices: Mapping[str, Choice]) -> dict[str, str]:
    """Return the settings that name the labels beyond doubt that do not stand under their standard names."""
    return {
        PROPERTIES[label].key_field: choice.key
        for label, choice in choices.items()
        if choice.key is not None and choice.key != PROPERTIES[label].ase
    }
