"""A data set at a glance, with its structures a click away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.model.references import N_ELEMENTS, fit_references
from mattertune_nb.widgets.parity import message
from mattertune_nb.widgets.picture import (
    Pictured,
    enable_colab_widgets,
    new_figure,
    new_plotly_figure,
    only_widgets,
    png,
)
from mattertune_nb.widgets.structure_view import StructureView, open_structures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.data.datasets import AtomsDataset

_INK = "#7d828a"
_BLUE = "#2f7ed8"
N_OUTLIERS = 8


@dataclass(frozen=True)
class DatasetTable:
    """A row a frame; NaN where a label is missing.

    Attributes
    ----------
    n_atoms
        Atoms, (frames,).
    energy
        Energy per atom after per-element references fitted to the set itself, meV/atom.
    force
        Largest force norm, meV/Å.
    stress
        Largest stress component, meV/Å³.
    composition
        Atoms of each element, (frames, 119).
    """

    n_atoms: NDArray[np.int64]
    energy: NDArray[np.float64]
    force: NDArray[np.float64]
    stress: NDArray[np.float64]
    composition: NDArray[np.int64]

    @classmethod
    def read(cls, dataset: AtomsDataset) -> DatasetTable:
        """Read every frame once."""
        n = len(dataset)
        counts = np.zeros((n, N_ELEMENTS), dtype=np.int64)
        energy, force, stress = (np.full(n, np.nan) for _ in range(3))
        for i in range(n):
            counts[i] = np.bincount(dataset.frame(i).numbers, minlength=N_ELEMENTS)
            labels = dataset.labels(i, dict.fromkeys(("energy", "forces", "stresses"), "mask"))
            energy[i] = labels.get("energy", np.nan)
            if "forces" in labels:
                force[i] = 1000 * np.linalg.norm(labels["forces"], axis=1).max()
            if "stresses" in labels:
                stress[i] = 1000 * np.abs(labels["stresses"]).max()
        n_atoms = counts.sum(axis=1)
        present = np.isfinite(energy)
        if present.any():
            references, _ = fit_references(counts[present], energy[present])
            energy = 1000 * (energy - counts @ references) / n_atoms
        return cls(n_atoms, energy, force, stress, counts)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return what is plotted, by title; columns without a value are left out."""
        columns = {
            "atoms a frame": self.n_atoms.astype(float),
            "energy after references (meV/atom)": self.energy,
            "largest force (meV/Å)": self.force,
            "largest stress (meV/Å³)": self.stress,
        }
        return {title: values for title, values in columns.items() if np.isfinite(values).any()}

    def elements(self) -> dict[str, int]:
        """Return the atoms of each element in the whole set."""
        totals = self.composition.sum(axis=0)
        return {chemical_symbols[z]: int(totals[z]) for z in np.flatnonzero(totals)}

    def outliers(self) -> list[tuple[int, str, float]]:
        """Return frame, column and robust z-score of the values farthest from the median."""
        found = []
        for title, values in self.columns().items():
            middle = np.nanmedian(values)
            spread = 1.4826 * np.nanmedian(np.abs(values - middle))
            if spread > 0:
                scores = np.abs(values - middle) / spread
                found += [
                    (int(i), title, float(scores[i]))
                    for i in np.argsort(-np.nan_to_num(scores))[:N_OUTLIERS]
                ]
        return sorted(found, key=lambda row: -row[2])[:N_OUTLIERS]


class ExploreView(Pictured, W.VBox):  # type: ignore[misc]
    """Every frame as a point in each column, linked with the structure beside.

    A click shows that frame; a range selected with the mouse leaves only its frames in the slider.

    Parameters
    ----------
    dataset
        The structures.
    """

    def __init__(self, dataset: AtomsDataset) -> None:
        enable_colab_widgets()
        self.dataset = dataset
        self.table = DatasetTable.read(dataset)
        self.selected: NDArray[np.int64] = np.arange(len(dataset))
        elements = ", ".join(f"{s} {n}" for s, n in self.table.elements().items())
        self._summary = W.HTML(f"<b>{len(dataset)} frames</b>, atoms in all: {elements}")
        self.figure = new_plotly_figure()
        self._draw()
        self.structure = StructureView(dataset, forces="label")
        self.outliers = W.HTML(self._outlier_table())
        hint = W.HTML("Click a point for its structure, or drag a box to keep only those frames.")
        self._place = W.VBox([self.structure])
        super().__init__(
            only_widgets(self._summary, self.figure, hint, W.HBox([self._place, self.outliers]))
        )

    def _draw(self) -> None:
        columns = self.table.columns()
        n = len(columns)
        layout: dict[str, Any] = {
            "height": 300,
            "width": 90 + 225 * n,
            "margin": {"l": 45, "r": 10, "t": 30, "b": 40},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": _INK, "size": 10},
            "showlegend": False,
            "dragmode": "select",
        }
        frames = np.arange(len(self.dataset))
        for number, (title, values) in enumerate(columns.items(), 1):
            suffix = "" if number == 1 else str(number)
            axis = {"gridcolor": "rgba(128,128,128,.22)", "zeroline": False}
            right = number / n - (0.05 if number < n else 0)
            layout[f"xaxis{suffix}"] = axis | {
                "domain": [(number - 1) / n, right], "anchor": f"y{suffix}", "title": "frame"
            }  # fmt: skip
            layout[f"yaxis{suffix}"] = axis | {"anchor": f"x{suffix}", "title": title}
            self.figure.add_trace(
                go.Scatter(
                    x=frames,
                    y=values,
                    mode="markers",
                    marker={"size": 5, "color": _BLUE, "opacity": 0.7},
                    xaxis=f"x{suffix}",
                    yaxis=f"y{suffix}",
                    name=title,
                )
            )
            self.figure.data[-1].on_click(lambda _, points, __: self._on_click(points))
            self.figure.data[-1].on_selection(lambda _, points, __: self._on_selection(points))
        self.figure.update_layout(layout)

    def _on_click(self, points: Any) -> None:
        if points.point_inds:
            (frame,) = points.point_inds[:1]
            position = np.flatnonzero(self.selected == frame)
            if not len(position):
                self._keep(np.arange(len(self.dataset)))
                position = np.array([frame])
            self.structure.show(int(position[0]))

    def _on_selection(self, points: Any) -> None:
        if points.point_inds:
            self._keep(np.array(sorted(points.point_inds)))

    def _keep(self, frames: NDArray[np.int64]) -> None:
        self.selected = frames
        self.structure.close()
        self.structure = StructureView(self.dataset.take(frames), forces="label")
        self._place.children = [self.structure]

    def _outlier_table(self) -> str:
        rows = "".join(
            f"<tr><td>{i}</td><td style='text-align:left'>{title}</td><td>{score:.1f}</td></tr>"
            for i, title, score in self.table.outliers()
        )
        return (
            "<table><caption>farthest from the median, in robust standard deviations</caption>"
            f"<tr><th>frame</th><th style='text-align:left'>of its</th><th>by</th></tr>{rows}</table>"
        )

    def picture(self) -> bytes | None:
        """Return histograms of all columns as PNG."""
        columns = self.table.columns()
        figure, axes = new_figure(1, len(columns), 2.9 * len(columns), 2.6)
        for ax, (title, values) in zip(axes, columns.items(), strict=True):
            ax.hist(values[np.isfinite(values)], bins=40, color=_BLUE)
            ax.set_xlabel(title, fontsize=8)
            ax.set_ylabel("frames", fontsize=8)
            ax.tick_params(labelsize=7)
        return png(figure)


def explore(dataset: Any) -> ExploreView | W.HTML:
    """Show composition, sizes, energies, forces and stresses of a dataset, a list or a file."""
    try:
        return ExploreView(open_structures(dataset))
    except MatterTuneError as exc:
        return message(str(exc))
