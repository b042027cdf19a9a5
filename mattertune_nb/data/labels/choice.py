"""Candidates for a label, and what was decided about them."""

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
        Its name.
    reading
        What the name suggests.
    n_frames
        Number of frames that have it.
    n_usable
        Number of those in which it is finite and, for a stress, the cell is periodic in three directions.
    low, high
        Its range over all frames and components.
    evidence
        Its comparison with an untuned model, if one was asked.
    """

    key: str
    reading: Reading
    n_frames: int = 0
    n_usable: int = 0
    low: float = np.inf
    high: float = -np.inf
    evidence: str = ""

    def add(self, array: NDArray[np.float64], *, is_usable: bool) -> None:
        """Add the value of one frame."""
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
    """The decision about one label.

    Attributes
    ----------
    label
        The property.
    key, candidate
        The chosen name, and what is known about it; ``None`` if there is none, or if the user must choose.
    open
        The candidates from which the user must choose.
    same
        Further names for the same values.
    excluded
        Names that look like the label but are something else, with what they are.
    parts
        Names that complement each other, each in different frames.
    other
        Names of a quantity from which the label can be derived: a virial, a gradient.
    notes
        Remarks about the choice.
    smearing
        Largest difference between energy and free energy of a frame in eV, if both are present.
    counts
        Number of frames with each value that looks like the label.
    is_last_resort
        Whether no value has a suitable name, and the candidates are only what the user might mean.
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
        """A phrase about the difference between energy and free energy."""
        gap = f"{1000 * (self.smearing or 0.0):.3g} meV per frame"
        return f"'energy' and 'free_energy' differ by up to {gap} because of electronic smearing"

    def notes_of_standard(self) -> list[str]:
        """Return what the user should know if no name is set, so that the standard name applies."""
        if self.smearing is None:
            return []
        return [
            f"{self.smearing_told}; 'energy' is taken because no name is set, although forces are gradients "
            f"of the free energy: set energy_key='free_energy' to use that"
        ]

    @property
    def question(self) -> str | None:
        """A sentence that asks which candidate it is, if this could not be determined."""
        prop = PROPERTIES[self.label]
        if self.parts:
            names = " and ".join(f"'{c.key}' in {c.n_frames}" for c in self.parts)
            both = "|".join(c.key for c in self.parts)
            return (
                f"no name has the {self.label} in all frames: {names} of {self.n_frames}. If they are "
                f"the same quantity, set {prop.key_field}='{both}', otherwise choose one of them."
            )
        if not self.open:
            return None
        told = "; ".join(f"'{c.key}' ({c.told(self.n_frames, prop.unit)})" for c in self.open)
        if self.is_last_resort:
            return (
                f"no value is clearly the {self.label}. It may be {told}. Set {prop.named_by} to the right "
                f"name, or remove the {self.label} from the properties."
            )
        which = "this may be" if len(self.open) == 1 else f"which of these {prop.verb}"
        return f"{which} the {self.label}: {told}. Set {prop.named_by} to its name."


def key_settings(choices: Mapping[str, Choice]) -> dict[str, str]:
    """Return the settings for labels that are unambiguous but not under their standard names."""
    return {
        PROPERTIES[label].key_field: choice.key
        for label, choice in choices.items()
        if choice.key is not None and choice.key != PROPERTIES[label].ase
    }
