"""The energies of pairs of atoms before and after a run, and the holes in them."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np

from mattertune_nb.physics.holes import distances
from mattertune_nb.training.wall_record import read_walls
from mattertune_nb.widgets.page.export import render
from mattertune_nb.widgets.page.picture import new_figure
from mattertune_nb.widgets.page.theme import BLUE, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mattertune_nb.training.run import Run
    from mattertune_nb.training.wall_record import WallRecord

_MOST, _COLUMNS = 12, 4
_SHOWN = 3.0  # Å
_DEEPEST, _HIGHEST = -12.0, 30.0  # eV


class WallsView:
    """Words and a picture that are made again once walls were computed.

    Parameters
    ----------
    run
        The run whose ``walls.json`` is read.
    """

    title = "Walls"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._caption = W.HTML()
        self._image = W.Image(format="png", layout=W.Layout(max_width="100%"))
        self.widget = W.VBox([self._caption, self._image])
        self.clear()

    @property
    def text(self) -> str:
        """What is said above the picture."""
        return str(self._caption.value)

    @property
    def picture(self) -> bytes:
        """The picture as PNG; empty before there is one."""
        return bytes(self._image.value)

    def clear(self) -> None:
        """Show nothing until :meth:`refresh` finds something."""
        self._seen: float | None = None
        self._caption.value = (
            "No walls yet: they are computed before the first step and at the end."
        )
        self._image.value = b""
        self._image.layout.display = "none"

    def refresh(self) -> None:
        """Draw the picture again where walls were computed since."""
        file = self._run.directory.walls_file
        if not file.is_file() or file.stat().st_mtime == self._seen:
            return
        record, self._seen = read_walls(self._run.directory), file.stat().st_mtime
        if record is None or not record.untuned:
            return
        self._caption.value = walls_html(record)
        self._image.value = render(draw_walls(record))
        self._image.layout.display = None


def walls_html(record: WallRecord) -> str:
    """Return what the walls of a run are, in words."""
    said = (
        "Energies of two atoms alone over their distance, for each pair of elements of the target. Where "
        "they pull each other together at a short distance, structures under pressure or heat may collapse."
    )
    new, old = ([str(h) for h in record.holes if h.is_new is kind] for kind in (True, False))
    before = f"<br>There before training: {html.escape(', '.join(old))}." if old else ""
    if record.tuned is None:
        return f"<p>{said} Those of the tuned model are computed at the end.{before}</p>"
    if not new:
        return f"<p>{said} The run has made <b>no new holes</b>.{before}</p>"
    return f"<p>{said} <b>New holes: {html.escape(', '.join(new))}.</b>{before}</p>"


def draw_walls(record: WallRecord) -> Figure:
    """Draw the pairs, those with new holes first; holes are marked."""
    new = {hole.pair for hole in record.holes if hole.is_new}
    old = {hole.pair for hole in record.holes}
    names = [wall.name for wall in record.untuned]
    order = sorted(range(len(names)), key=lambda k: (names[k] not in new, names[k] not in old))
    shown = order[:_MOST]
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure, axes = new_figure(rows, columns, 2.3 * columns, 1.9 * rows)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    for ax, k in zip(axes, shown, strict=False):
        r = distances(len(record.untuned[k].energies))
        ax.plot(r, record.untuned[k].energies, "--", color=RED, lw=1.3, label="untuned")
        has_hole = record.untuned[k].holes()
        if record.tuned is not None:
            ax.plot(r, record.tuned[k].energies, color=BLUE, lw=1.5, label="tuned")
            has_hole = record.tuned[k].holes(record.untuned[k])
        for i in np.flatnonzero(has_hole):
            ax.axvspan(r[i], r[i + 1], color=RED, alpha=0.15, lw=0)
        values = record.untuned[k].energies[r <= _SHOWN]
        ax.set_xlim(r[0], _SHOWN)
        ax.set_ylim(
            max(values.min() - 1, _DEEPEST), min(max(values.max(), values.min() + 2), _HIGHEST)
        )
        ax.set_title(names[k] + (", new hole" if names[k] in new else ""), fontsize=8)
        ax.tick_params(labelsize=6)
    axes[0].legend(fontsize=6, frameon=False)
    axes[0].set_ylabel("energy (eV)", fontsize=7)
    axes[0].set_xlabel("distance (Å)", fontsize=7)
    return figure
