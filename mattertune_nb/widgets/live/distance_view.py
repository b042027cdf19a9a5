"""After each validation: the error of each frame against its distance from the training frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from mattertune_nb.config.escaped import escaped
from mattertune_nb.model.novelty import Novelty, too_near
from mattertune_nb.training.figures import new_figure
from mattertune_nb.training.records.novelty import read_novelty
from mattertune_nb.widgets.live.pictured import PicturedView
from mattertune_nb.widgets.live.validation_view import about_property
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.page.theme import BLUE, GREY, INK

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray


_FEWEST = 8
"""Minimum number of frames for a meaningful line of medians."""


class DistanceView(PicturedView):
    """Errors from ``validation.json`` against the distances in ``distances.json`` of a run."""

    title = "Distance"
    nothing_yet = "No distances yet; they are measured before the first step."

    @override
    def files(self) -> tuple[Path, ...]:
        directory = self._run.directory
        return directory.distances_file, directory.validation_file

    @override
    def made(self) -> tuple[str, Figure | None]:
        directory = self._run.directory
        novelty = read_novelty(directory)
        data = json.loads(directory.validation_file.read_text(encoding="utf-8"))
        if "validation" not in novelty or not data.get("frames"):
            return "The distances to the training frames are not known for this run.", None
        distances, errors = paired(novelty["validation"], data["frames"])
        figure = draw_distances(distances, errors, about_property(data["ranked_by"]))
        return distance_html(novelty), figure


def distance_html(novelty: dict[str, Novelty]) -> str:
    """Describe how far validation and test are from training."""
    far = ", ".join(f"{stage} {number(part.median)}" for stage, part in novelty.items())
    near = too_near(novelty["validation"])
    warning = "" if near is None else f"<div role='alert'><b>Note:</b> {escaped(near)}</div>"
    return (
        "Distance of each frame to the nearest training frame, from the features of the backbone before "
        "training; 1 is the typical distance between two training frames. If errors rise with it, frames "
        f"farther away are predicted worse than the mean suggests. Medians: {far}.{warning}"
    )


def paired(
    novelty: Novelty, frames: list[list[float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distance and error of the frames for which both are known, (n,) each."""
    far = dict(zip(novelty.positions.tolist(), novelty.distances.tolist(), strict=True))
    both = [(far[int(i)], error) for i, error in frames if int(i) in far]
    array = np.array(both, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def draw_distances(
    distances: NDArray[np.float64], errors: NDArray[np.float64], prop: Any
) -> Figure:
    """Plot errors against distances, with the median of each fifth of the frames."""
    figure, (ax,) = new_figure(1, 1, 6.0, 3.4)
    shown = prop.factor * errors
    ax.plot(distances, shown, ".", ms=5, alpha=0.6, color=BLUE)
    if len(distances) >= _FEWEST:
        fifths = np.array_split(np.argsort(distances), min(5, len(distances) // 4))
        middle = [[np.median(distances[f]), np.median(shown[f])] for f in fifths]
        ax.plot(*np.transpose(middle), "o-", color=INK, lw=1.5, ms=4, label="median")
        ax.legend(fontsize=8, frameon=False)
    ax.axvline(1.0, color=GREY, lw=1, ls="--")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("distance to the nearest training frame (1: typical within training)", fontsize=8)
    ax.set_ylabel(f"{prop.title} error ({prop.shown_unit})", fontsize=8)
    ax.tick_params(labelsize=7)
    return figure
