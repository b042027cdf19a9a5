"""A small SVG picture of a structure, which shows on any page without a library."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.utils import rotate

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.doctor.finding import Finding

_SIZE = 150.0  # pixels along the longer side
_MOST_ATOMS = 400
_CRYSTAL, _MOLECULE = "-75x,15y,2z", "10x,20y,0z"
_EDGES = [(a, b) for a in range(8) for b in range(a) if (a ^ b) in (1, 2, 4)]
"""Corners of a cell joined by an edge, each numbered by three bits."""


def with_picture(finding: Finding, dataset: AtomsDataset) -> Finding:
    """Return a finding with the picture of its first frame that is not too large for one."""
    for number in finding.frames[:3]:
        rows = np.flatnonzero(dataset.indices == number)
        if len(rows):
            atoms = dataset.frame(int(rows[0]))
            if len(atoms) <= _MOST_ATOMS and np.isfinite(atoms.positions).all():
                return replace(finding, picture=svg_of(atoms, f"frame {number}"))
    return finding


def svg_of(atoms: Atoms, title: str) -> str:
    """Draw a structure as balls in its cell, the rear ones first.

    Parameters
    ----------
    atoms
        The structure; its positions are finite.
    title
        Text for screen readers.
    """
    has_cell = atoms.cell.rank == 3 and np.isfinite(atoms.cell.array).all()
    turn = rotate(_CRYSTAL if has_cell else _MOLECULE)
    corners = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)]) @ atoms.cell.array
    placed = atoms.positions @ turn
    ends = (corners if has_cell else np.empty((0, 3))) @ turn
    radii = 0.6 * covalent_radii[atoms.numbers]
    seen = np.vstack([placed[:, :2] - radii[:, None], placed[:, :2] + radii[:, None], ends[:, :2]])
    low, high = seen.min(axis=0), seen.max(axis=0)
    scale = _SIZE / max(float((high - low).max()), 1e-6)
    width, height = np.ceil(scale * (high - low)).astype(int) + 2

    def at(point: NDArray[np.float64]) -> tuple[str, str]:
        # the y axis of a page points downwards
        return f"{scale * (point[0] - low[0]) + 1:.1f}", f"{scale * (high[1] - point[1]) + 1:.1f}"

    parts = []
    for a, b in _EDGES if has_cell else []:
        (x, y), (u, v) = at(ends[a]), at(ends[b])
        parts.append(f'<line x1="{x}" y1="{y}" x2="{u}" y2="{v}" stroke="#999"/>')
    for i in np.argsort(placed[:, 2]).tolist():
        x, y = at(placed[i])
        red, green, blue = (255 * jmol_colors[atoms.numbers[i]]).astype(int)
        color = f"#{red:02x}{green:02x}{blue:02x}"
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="{scale * radii[i]:.1f}" fill="{color}" stroke="#1a1a1a"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" width="{width}" '
        f'height="{height}">{"".join(parts)}</svg>'
    )
