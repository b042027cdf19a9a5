"""Colour scales for the points of a parity plot, with titles that include the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from mattertune_nb.config.properties import FORCES
from mattertune_nb.widgets.page.theme import BLUE, PALETTE, RED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mattertune_nb.widgets.views.parity_data import ParityData

MAX_POINTS = 5000
"""If there are more points, a density is shown."""

DENSITY, SPREAD, FORCE, ELEMENT, FRAME, DISTANCE, NOTHING = (
    "density",
    "spread",
    "force",
    "element",
    "frame",
    "distance to training",
    "nothing",
)
_TOP = 0.99
"""Fraction of the forces within the colour scale; otherwise a single large one would flatten the rest."""


@dataclass(frozen=True)
class Coloring:
    """Colours of points.

    Attributes
    ----------
    values
        (m,) numbers on a scale, or ``None`` if the colours have none.
    title
        What the numbers are, with their unit.
    limits
        Both ends of the scale.
    colors
        One colour for all points, or one for each, if there is no scale.
    """

    values: NDArray[np.float64] | None = None
    title: str = ""
    limits: tuple[float, float] = (0.0, 1.0)
    colors: Any = BLUE


def choices(values: ParityData, *, training: bool) -> list[str]:
    """Return the quantities that can colour the points of a property; the first is the default."""
    found = [DENSITY] if len(values) > MAX_POINTS else []
    if values.has_spread:
        found.append(SPREAD)
    if np.isfinite(values.norm).all():
        found.append(FORCE)
    if values.element.any():
        found.append(ELEMENT)
    found.append(FRAME)
    if training:
        found.append(DISTANCE)
    return [*found, NOTHING]


def coloring(
    by: str,
    values: ParityData,
    rows: NDArray[np.int64],
    distances: Mapping[int, NDArray[np.float64]] | None = None,
) -> Coloring:
    """Return the colours of some of the points.

    Parameters
    ----------
    by
        One of :func:`choices`.
    values
        All points, which set the ends of the scale.
    rows
        The points to colour.
    distances
        Distances of the atoms of each frame to the training set, see
        :mod:`~mattertune_nb.widgets.views.surroundings`.
    """
    of_frames = not values.element.any()
    if by == FORCE:
        title = FORCES.with_unit("largest force of the frame" if of_frames else "force")
        top = float(np.quantile(values.norm, _TOP))
        return Coloring(values.norm[rows], title, (0.0, top or 1.0))
    if by == SPREAD and values.has_spread:
        top = float(np.quantile(values.spread, _TOP))
        return Coloring(values.spread[rows], values.about.with_unit("spread"), (0.0, top or 1.0))
    if by == FRAME:
        last = float(values.frame.max())
        return Coloring(values.frame[rows].astype(float), "frame", (0.0, last or 1.0))
    if by == DISTANCE and distances is not None:
        far = _far(values, distances)
        # an element absent from training has infinite distance: the end of the scale
        top = float(far[np.isfinite(far)].max(initial=0)) or 1.0
        return Coloring(np.minimum(far[rows], top), "distance to training (neighbours)", (0.0, top))
    if by == ELEMENT and not of_frames:
        colors = element_colors(values)
        return Coloring(colors=[colors[z] for z in values.element[rows].tolist()])
    return Coloring(colors=RED if by == DENSITY else BLUE)


def _far(values: ParityData, distances: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the distance of each component's atom, or the largest one in its frame."""
    return np.array(
        [
            distances[i].max() if atom < 0 else distances[i][atom]
            for i, atom in zip(values.frame.tolist(), values.atom.tolist(), strict=True)
        ]
    )


def element_colors(values: ParityData) -> dict[int, str]:
    """Return the colour of each element, by atomic number."""
    present = sorted(set(np.unique(values.element).tolist()) - {0})
    return {z: PALETTE[i % len(PALETTE)] for i, z in enumerate(present)}


def element_legend(values: ParityData) -> str:
    """Return the elements with their colours, as HTML."""
    return " &nbsp; ".join(
        f'<span style="white-space:nowrap"><span style="background:{color};border-radius:50%;'
        f'display:inline-block;width:10px;height:10px"></span> {chemical_symbols[z]}</span>'
        for z, color in element_colors(values).items()
    )
