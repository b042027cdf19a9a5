"""Still pictures of structures, drawn without a browser, and what they share with the live viewer."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from ase.visualize.plot import plot_atoms

from mattertune_nb.config.errors import DataError
from mattertune_nb.widgets.page.picture import new_figure
from mattertune_nb.widgets.page.style import number

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.widgets.page.export import Table

ARROW_COLOR = "#1a1a1a"
MARK_COLOR = "#ff00cc"
VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_ROTATION = "10x,20y,0z"
_LONGEST = 2.5  # Å
_BOND = 1.2  # of the sum of the covalent radii
_MAX_BONDED = 400


@dataclass(frozen=True)
class Shown:
    """A structure with what is drawn on it.

    Attributes
    ----------
    atoms
        The structure.
    arrows
        Force arrows, (n, 3) in eV/Å, if any.
    values
        Values that colour the atoms, (n,), if any.
    label
        What the values are, with their unit.
    marked
        An atom that is looked at, if any.
    """

    atoms: Atoms
    arrows: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None
    label: str = ""
    marked: int | None = None

    @property
    def scale(self) -> float:
        """Length of the arrow of 1 eV/Å in Å, a round number by which the longest can be seen."""
        if self.longest == 0:
            return 1.0
        exact = _LONGEST / self.longest
        power = 10 ** np.floor(np.log10(exact))
        return float(max(m for m in (1, 2, 5) if m * power <= exact * 1.0001) * power)

    @property
    def longest(self) -> float:
        """Norm of the largest finite force, eV/Å; 0 where there is none."""
        norms = np.zeros(0) if self.arrows is None else np.linalg.norm(self.arrows, axis=1)
        return float(norms[np.isfinite(norms)].max(initial=0))

    @property
    def limits(self) -> tuple[float, float]:
        """The values at both ends of the colour scale; norms start at 0."""
        if self.values is None or not np.isfinite(self.values).any():
            return 0.0, 1.0
        low, high = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        low = min(low, 0.0) if low >= 0 else low
        return low, high if high > low else low + 1.0

    def numbers(self) -> Table:
        """Return the atoms with their positions, and arrows and values where given."""
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
        """Return where each value lies on the colour scale, (n,) from 0 to 1."""
        low, high = self.limits
        values = np.zeros(len(self.atoms)) if self.values is None else self.values
        return np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)


def refuse_empty(atoms: Atoms, source: str) -> None:
    """Raise a :class:`DataError` where a frame holds no atom, as there is nothing to draw."""
    if not len(atoms):
        msg = f"{source}: there is no atom in it. Leave the frame out."
        raise DataError(msg)


def draw_structure(shown: Shown) -> Figure:
    """Draw a structure, with force arrows and a colour scale where given."""
    from ase.io.utils import PlottingVariables
    from ase.utils import rotate
    from matplotlib.patches import Circle

    atoms = shown.atoms
    figure, (ax,) = new_figure(1, 1, 4.9 if shown.values is not None else 4.2, 3.4)
    colors: Any = None
    if shown.values is not None:
        import matplotlib as mpl

        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(*shown.limits), mpl.colormaps["viridis"])
        colors = mpl.colormaps["viridis"](shown.fractions())[:, :3]
        figure.colorbar(scale, ax=ax, label=shown.label, shrink=0.8)
    radii = 0.5 * covalent_radii[atoms.numbers]
    plot_atoms(atoms, ax, rotation=_ROTATION, radii=radii, colors=colors)
    variables = PlottingVariables(atoms, rotation=_ROTATION, scale=1, radii=radii)
    flat = np.asarray(variables.positions)[: len(atoms), :2]
    for i, j in _bonds(atoms):
        ax.plot(*flat[[i, j]].T, color="0.55", lw=3, zorder=0.5, solid_capstyle="round")
    if shown.arrows is not None:
        arrows = np.where(np.isfinite(shown.arrows), shown.arrows, 0)
        ends = flat + shown.scale * (arrows @ rotate(_ROTATION))[:, :2]
        ax.quiver(
            *flat.T, *(ends - flat).T,
            angles="xy", scale_units="xy", scale=1, color=ARROW_COLOR, width=0.009, zorder=1e6,
        )  # fmt: skip
        ax.update_datalim(ends)
        low, high = np.minimum(ends.min(axis=0), 0), ends.max(axis=0)
        x, y = ax.get_xlim(), ax.get_ylim()
        ax.set_xlim(min(x[0], low[0] - 0.2), max(x[1], high[0] + 0.2))
        ax.set_ylim(min(y[0], low[1] - 0.2), max(y[1], high[1] + 0.2))
    if shown.marked is not None:
        i = shown.marked
        ax.add_patch(Circle(flat[i], 1.3 * radii[i], fill=False, ec=MARK_COLOR, lw=2.5, zorder=2e6))
        ax.annotate(atom_name(atoms, i), flat[i] + radii[i], color=MARK_COLOR, zorder=2e6)
    ax.set_axis_off()
    return figure


def _bonds(atoms: Atoms) -> list[tuple[int, int]]:
    """Return pairs of atoms of the picture that are as near as a bond; none in a large structure."""
    if not 1 < len(atoms) <= _MAX_BONDED:
        return []
    distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions[None], axis=2)
    reach = covalent_radii[atoms.numbers]
    near = distances < _BOND * (reach[:, None] + reach[None])
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(near, 1))]


def atom_name(atoms: Atoms, i: int) -> str:
    """Return an atom's element and number, which is counted from 0 as in ASE."""
    return f"{atoms.symbols[i]} {i}"


def legend_html(atoms: Atoms) -> str:
    """Return the elements with their colours."""
    parts = []
    for z in sorted(set(atoms.numbers.tolist())):
        red, green, blue = (int(255 * c) for c in jmol_colors[z])
        parts.append(
            f'<span style="white-space:nowrap"><span style="background:rgb({red},{green},{blue});'
            "border:1px solid #888;border-radius:50%;"
            f'display:inline-block;width:10px;height:10px"></span> {chemical_symbols[z]}</span>'
        )
    return " ".join(parts)


def scale_html(shown: Shown) -> str:
    """Return the colour scale of the values, or nothing where there are none."""
    if shown.values is None:
        return ""
    low, high = shown.limits
    return (
        f'<span style="white-space:nowrap">{html.escape(shown.label)} {number(low)} <span style="background:'
        f'linear-gradient(to right,{",".join(VIRIDIS)});display:inline-block;width:110px;height:10px">'
        f"</span> {number(high)}</span>"
    )
