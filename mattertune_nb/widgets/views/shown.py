"""A structure and what is drawn on it: arrows, values that colour its atoms, and a marked atom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data.colors import jmol_colors

from mattertune_nb.config.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.widgets.page.export import Table

ONE_SIDED = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
"""Viridis, for values of one sign."""
TWO_SIDED = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")
"""Blue, white and red, for values on both sides of zero, which is white."""

_LONGEST = 2.5  # Å


@dataclass(frozen=True)
class Shown:
    """A structure and what is drawn on it.

    Attributes
    ----------
    atoms
        The structure.
    arrows
        Force arrows, (n, 3) in eV/Å, if any.
    values
        Values that colour the atoms, (n,), if any.
    label
        Title of the values, with their unit.
    marked
        The highlighted atom, if any.
    cells
        Number of repeats of the cell along a, b and c.
    axes
        Whether the cell's axes are drawn with their names.
    """

    atoms: Atoms
    arrows: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None
    label: str = ""
    marked: int | None = None
    cells: tuple[int, int, int] = (1, 1, 1)
    axes: bool = True

    @property
    def scale(self) -> float:
        """Length in Å of an arrow of 1 eV/Å, a round number chosen so that the longest arrow is visible."""
        if self.longest == 0:
            return 1.0
        exact = _LONGEST / self.longest
        power = 10 ** np.floor(np.log10(exact))
        return float(max(m for m in (1, 2, 5) if m * power <= exact * 1.0001) * power)

    @property
    def longest(self) -> float:
        """Norm of the largest finite force, eV/Å; 0 if there is none."""
        norms = np.zeros(0) if self.arrows is None else np.linalg.norm(self.arrows, axis=1)
        return float(norms[np.isfinite(norms)].max(initial=0))

    @property
    def limits(self) -> tuple[float, float]:
        """The values at both ends of the colour scale.

        Norms start at 0; a scale for values of both signs is centred on 0.
        """
        if self.values is None or not np.isfinite(self.values).any():
            return 0.0, 1.0
        low, high = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        if low < 0 < high:
            return -max(-low, high), max(-low, high)
        low = min(low, 0.0)
        return low, high if high > low else low + 1.0

    @property
    def colormap(self) -> tuple[str, ...]:
        """Equally spaced colours along the colour scale."""
        low, high = self.limits
        return TWO_SIDED if low < 0 < high else ONE_SIDED

    def numbers(self) -> Table:
        """Return the atoms with their positions, and arrows and values if given."""
        columns: dict[str, Any] = {
            "atom": np.arange(len(self.atoms)),
            "element": self.atoms.get_chemical_symbols(),
        }
        columns |= {f"{axis} (Å)": x for axis, x in zip("xyz", self.atoms.positions.T, strict=True)}
        if self.arrows is not None:
            arrows = zip("xyz", self.arrows.T, strict=True)
            columns |= {f"arrow {axis} (eV/Å)": f for axis, f in arrows}
        if self.values is not None:
            columns[self.label or "value"] = self.values
        return columns

    def fractions(self) -> NDArray[np.float64]:
        """Return the position of each value on the colour scale, (n,) from 0 to 1."""
        low, high = self.limits
        values = np.zeros(len(self.atoms)) if self.values is None else self.values
        return np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)

    def colors(self) -> NDArray[np.float64]:
        """Return the colour of each atom, (n, 3) from 0 to 1, by value or by element."""
        if self.values is None:
            return element_colors(self.atoms.numbers)
        from matplotlib.colors import to_rgb

        stops = np.array([to_rgb(color) for color in self.colormap])
        at = np.linspace(0, 1, len(stops))
        fractions = self.fractions()
        return np.stack([np.interp(fractions, at, channel) for channel in stops.T], axis=1)


def element_colors(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Jmol's colours of elements, (n, 3) from 0 to 1; elements beyond meitnerium share its colour."""
    colors: NDArray[np.float64] = np.asarray(jmol_colors)
    chosen: NDArray[np.float64] = colors[np.minimum(numbers, len(colors) - 1)]
    return chosen


def refuse_empty(atoms: Atoms, source: str) -> None:
    """Raise a :class:`DataError` if a frame has no atoms, because there is nothing to draw."""
    if not len(atoms):
        msg = f"{source}: has no atoms. Leave the frame out."
        raise DataError(msg)


def atom_name(atoms: Atoms, i: int) -> str:
    """Return an atom's element and number, counted from 0 as in ASE."""
    return f"{atoms.symbols[i]} {i}"
