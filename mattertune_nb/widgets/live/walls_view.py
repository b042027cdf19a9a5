"""The energies of pairs of atoms before and after a run, and the holes in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.physics.holes import distances
from mattertune_nb.training.figures import new_figure
from mattertune_nb.training.records.walls import read_walls
from mattertune_nb.widgets.live.pictured import PicturedView
from mattertune_nb.widgets.page.theme import BLUE, RED

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from mattertune_nb.training.records.walls import WallRecord

_MOST, _COLUMNS = 12, 3
_SHOWN = 3.0  # Å
_DEEPEST, _HIGHEST = -12.0, 30.0  # eV


class WallsView(PicturedView):
    """The pair energies in ``walls.json`` of a run."""

    title = "Walls"
    nothing_yet = (
        "No pair energies yet; they are computed before the first step, in training and at the end."
    )

    @override
    def files(self) -> tuple[Path, ...]:
        return (self._run.directory.walls_file,)

    @override
    def made(self) -> tuple[str, Figure | None]:
        record = read_walls(self._run.directory)
        if record is None or not record.untuned:
            return self.nothing_yet, None
        return walls_html(record), draw_walls(record)


def walls_html(record: WallRecord) -> str:
    """Describe the pair energies of a run and their holes."""
    said = (
        "Energies of isolated pairs of atoms against their distance, for each pair of elements in the "
        "target. If two atoms attract each other at a short distance, structures under pressure or heat may "
        "collapse."
    )
    new, old = (
        [unbroken(str(h)) for h in record.holes if h.is_new is kind] for kind in (True, False)
    )
    before = f"<br>Present before training: {escaped(', '.join(old))}." if old else ""
    if record.tuned is None:
        return f"<p>{said} Those of the tuned model are computed in training and at the end.{before}</p>"
    said += "" if record.is_best else f" Now: epoch {record.epoch + 1}."
    if not new:
        return f"<p>{said} The run has created <b>no new holes</b>.{before}</p>"
    return f"<p>{said} <b>New holes: {escaped(', '.join(new))}.</b>{before}</p>"


def draw_walls(record: WallRecord) -> Figure:
    """Plot the pair energies, those with new holes first; holes are marked."""
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
        ax.tick_params(labelsize=7)
    axes[0].legend(fontsize=7, frameon=False)
    axes[0].set_ylabel("energy (eV)", fontsize=8)
    axes[0].set_xlabel("distance (Å)", fontsize=8)
    return figure
