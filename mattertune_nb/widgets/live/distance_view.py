"""After each validation: the error of each frame against its distance to the frames that are trained on."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

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
"""Frames of which a line of medians says something."""


class DistanceView(PicturedView):
    """Errors of ``validation.json`` over the distances that ``distances.json`` of a run holds."""

    title = "Distance"
    nothing_yet = "No distances yet: they are measured before the first step."

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
            return "Of this run no distances to the training frames are known.", None
        distances, errors = paired(novelty["validation"], data["frames"])
        figure = draw_distances(distances, errors, about_property(data["ranked_by"]))
        return distance_html(novelty), figure


def distance_html(novelty: dict[str, Novelty]) -> str:
    """Return in words how far validation and test are from training."""
    far = ", ".join(f"{stage} {number(part.median)}" for stage, part in novelty.items())
    near = too_near(novelty["validation"])
    warning = "" if near is None else f"<div role='alert'><b>Note:</b> {html.escape(near)}</div>"
    return (
        "How far a frame is from the nearest that is trained on, by the features of the backbone before "
        "training; 1 is the distance of two training frames. Where errors rise with it, frames farther out "
        f"are predicted worse than the mean says. Medians: {far}.{warning}"
    )


def paired(
    novelty: Novelty, frames: list[list[float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distance and error of the frames of which both are known, (n,) each."""
    far = dict(zip(novelty.positions.tolist(), novelty.distances.tolist(), strict=True))
    both = [(far[int(i)], error) for i, error in frames if int(i) in far]
    array = np.array(both, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def draw_distances(
    distances: NDArray[np.float64], errors: NDArray[np.float64], prop: Any
) -> Figure:
    """Draw errors against distances, with the median of each fifth of the frames."""
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
    ax.set_xlabel("distance to the nearest training frame (1: of two training frames)", fontsize=8)
    ax.set_ylabel(f"{prop.title} error ({prop.shown_unit})", fontsize=8)
    ax.tick_params(labelsize=7)
    return figure
