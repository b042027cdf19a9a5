"""Still pictures of structures, drawn without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase.utils import rotate

from mattertune_nb.training.figures import color_bar, new_figure
from mattertune_nb.widgets.views.scene import AXIS_COLORS, MARK_COLOR, scene_of
from mattertune_nb.widgets.views.shown import atom_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.widgets.views.scene import Scene
    from mattertune_nb.widgets.views.shown import Shown

_INK = "#1a1a1a"
_CRYSTAL = "-75x,15y,2z"
_MOLECULE = "10x,20y,0z"
_SLICES = 24
"""Number of slices, from the back, in which atoms and bonds are drawn as a few collections."""
_ARROW = {"angles": "xy", "scale_units": "xy", "scale": 1}


def draw_structure(shown: Shown) -> Figure:
    """Draw a structure, with force arrows and a colour bar if given."""
    scene = scene_of(shown)
    figure, (ax,) = new_figure(1, 1, 4.9 if shown.values is not None else 4.2, 3.4)
    if shown.values is not None:
        _add_color_bar(ax, shown)
    turn = rotate(_CRYSTAL if len(scene.edges) else _MOLECULE)
    seen = _draw_solid(ax, scene, turn)
    seen += _draw_lines(ax, scene, turn)
    if scene.marked is not None:
        _draw_mark(ax, scene, turn, atom_name(shown.atoms, scene.marked))
    everything = np.concatenate(seen)
    low, high = everything.min(axis=0) - 0.9, everything.max(axis=0) + 0.9
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")
    ax.set_axis_off()
    return figure


def _add_color_bar(ax: Axes, shown: Shown) -> None:
    import matplotlib as mpl

    colors = mpl.colors.LinearSegmentedColormap.from_list("scale", shown.colormap)
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(*shown.limits), colors)
    color_bar(scale, ax, shown.label, shrink=0.8)


def _draw_solid(ax: Axes, scene: Scene, turn: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Draw atoms and bonds, the rear ones first; return where they are."""
    from matplotlib.collections import EllipseCollection, LineCollection

    placed = scene.positions @ turn
    flat, depth = placed[:, :2], placed[:, 2]
    first, second = scene.bonds.T
    edges = np.linspace(depth.min(), depth.max(), _SLICES + 1)[1:-1]
    of_atom = np.searchsorted(edges, depth)
    of_bond = np.searchsorted(edges, (depth[first] + depth[second]) / 2)
    for k in range(_SLICES):
        i, b = np.flatnonzero(of_atom == k), scene.bonds[of_bond == k]
        lines = LineCollection(list(flat[b]), colors="0.55", linewidths=3, zorder=2 + 2 * k)
        ax.add_collection(lines, autolim=False)
        i = i[np.argsort(depth[i])]
        size = 2 * scene.radii[i]
        balls = EllipseCollection(
            size, size, np.zeros(len(i)),
            units="xy", offsets=flat[i], offset_transform=ax.transData,
            facecolors=scene.colors[i], edgecolors=_INK, linewidths=0.8, zorder=3 + 2 * k,
        )  # fmt: skip
        ax.add_collection(balls, autolim=False)
    return [flat]


def _draw_lines(ax: Axes, scene: Scene, turn: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Draw the cell behind the atoms, and its axes and the arrows in front; return their ends."""
    from matplotlib.collections import LineCollection

    cell = (scene.edges @ turn)[..., :2]
    lines = LineCollection(list(cell), colors="0.6", linewidths=0.8, zorder=1)
    ax.add_collection(lines, autolim=False)
    seen: list[NDArray[np.float64]] = [cell.reshape(-1, 2)]
    for name, start, end in scene.axes:
        (x, y), tip = (start @ turn)[:2], (end @ turn)[:2]
        color = AXIS_COLORS[name]
        ax.quiver(x, y, *(tip - (x, y)), **_ARROW, color=color, width=0.006, zorder=1e3)
        named: dict[str, Any] = {"color": color, "weight": "bold", "zorder": 1e3}
        ax.annotate(name, (tip[0], tip[1]), (4, 4), textcoords="offset points", **named)
        seen.append(np.stack([(x, y), tip]))
    arrows = (scene.arrows @ turn)[..., :2]
    if len(arrows):
        starts, ends = arrows[:, 0], arrows[:, 1]
        ax.quiver(*starts.T, *(ends - starts).T, **_ARROW, color=_INK, width=0.008, zorder=2e3)
        seen.append(ends)
    return seen


def _draw_mark(ax: Axes, scene: Scene, turn: NDArray[np.float64], name: str) -> None:
    from matplotlib.patches import Circle

    assert scene.marked is not None
    x, y = (scene.positions[scene.marked] @ turn)[:2]
    size = 1.6 * float(scene.radii[scene.marked]) + 0.1
    ax.add_patch(Circle((x, y), size, fill=False, ec=MARK_COLOR, lw=2.5, zorder=3e3))
    place = (x + 0.75 * size, y + 0.75 * size)
    ax.annotate(name, place, color=MARK_COLOR, weight="bold", zorder=3e3)
