"""Whether a potential repels atoms at short distance: a hole in this repulsion lets structures collapse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSEST, STEP = 0.3, 0.05
"""Å; the first distance, and the spacing."""

_CONTACT, _LEAST_CONTACT = 0.6, 0.5
"""Fraction of the sum of covalent radii, and Å, below which any two atoms must repel each other."""

_INSIDE, _CLEARLY = 0.8, 0.5
"""Where a potential pushed apart before, it has to below that part of the distance of its lowest energy, if
by so many eV/Å."""


@dataclass(frozen=True)
class Wall:
    """The energy of two atoms as a function of their distance.

    Attributes
    ----------
    pair
        Symbols, e.g. ``("C", "O")``.
    energies
        In eV at :func:`distances`, (n,), the last of which is zero.
    """

    pair: tuple[str, str]
    energies: NDArray[np.float64]

    @property
    def name(self) -> str:
        """Readable name of the pair, e.g. ``C–O``."""
        return "–".join(self.pair)

    @property
    def force(self) -> NDArray[np.float64]:
        """Repulsion between successive distances, (n - 1,), in eV/Å."""
        return np.asarray(-np.diff(self.energies) / STEP)

    def holes(self, before: Wall | None = None) -> NDArray[np.bool_]:
        """Return at which distances the atoms attract although they should repel, (n - 1,).

        Parameters
        ----------
        before
            Pair energy of the untuned model: where that repelled well inside its energy minimum, this one
            should too.
        """
        middle = distances(len(self.energies))[:-1] + STEP / 2
        radii = sum(covalent_radii[atomic_numbers[symbol]] for symbol in self.pair)
        contact = max(_CONTACT * radii, _LEAST_CONTACT)
        has_to = middle < contact
        if before is not None:
            outside = middle >= contact
            lowest = middle[outside][np.argmin(before.energies[:-1][outside])]
            has_to |= (middle < _INSIDE * lowest) & (before.force > _CLEARLY)
        return np.asarray(has_to & (self.force <= 0))


def distances(n: int) -> NDArray[np.float64]:
    """Return the distances in Å of the `n` energies of a pair, (n,)."""
    return np.asarray(CLOSEST + STEP * np.arange(n), dtype=np.float64)


@dataclass(frozen=True)
class Hole:
    """A range of distances where two atoms attract although they should repel.

    Attributes
    ----------
    pair
        E.g. ``C–O``.
    below
        Upper end in Å.
    is_new
        Whether the untuned model had none there.
    """

    pair: str
    below: float
    is_new: bool

    def __str__(self) -> str:
        return f"{self.pair} below {self.below:.2f} Å"


def holes(untuned: list[Wall], tuned: list[Wall] | None = None) -> list[Hole]:
    """Return the holes of a model: of the untuned one, or of the tuned one compared with it.

    Parameters
    ----------
    untuned
        Pair energies before.
    tuned
        Pair energies of the same pairs after; by default before tuning.
    """
    found = []
    for k, before in enumerate(untuned):
        old = before.holes()
        here = old if tuned is None else tuned[k].holes(before)
        edges = distances(len(before.energies))[1:]
        new = here & ~old
        if new.any() and tuned is not None:
            found.append(Hole(before.name, float(edges[new].max()), is_new=True))
        kept = here & old
        if kept.any():
            found.append(Hole(before.name, float(edges[kept].max()), is_new=False))
    return found


def to_plain(found: list[Wall]) -> list[dict[str, Any]]:
    """Return pair energies as builtins."""
    return [
        {"pair": list(wall.pair), "energies": np.round(wall.energies, 5).tolist()} for wall in found
    ]


def from_plain(plain: list[dict[str, Any]]) -> list[Wall]:
    """Return the pair energies described by :func:`to_plain`."""
    return [
        Wall((str(w["pair"][0]), str(w["pair"][1])), np.array(w["energies"], dtype=np.float64))
        for w in plain
    ]
