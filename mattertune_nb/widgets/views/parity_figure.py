"""The plot of a parity view: labels against predictions above a histogram of the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.theme import BLUE, INK
from mattertune_nb.widgets.views.bins import bin_edges, histogram
from mattertune_nb.widgets.views.parity_colors import DENSITY, MAX_POINTS, Coloring, coloring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.widgets.views.parity_data import ParityData

N_WORST = 300
"""Number of points with the largest errors that are shown, and can be clicked, on every density."""

N_BINS = 60
WIDTH, HEIGHT = 466, 400
_CELLS = 150
_MARK = "#e6007e"
_LONGEST_NAME = 34


class ParityFigure:
    """Points of one property at a time; clicking one reports its row.

    Parameters
    ----------
    dataset
        The points' data set, for frame names.
    clicked
        Called with the row of a clicked point.

    Attributes
    ----------
    widget
        The plotly figure.
    shown
        Rows drawn as points.
    """

    def __init__(self, dataset: AtomsDataset, clicked: Callable[[int], None]) -> None:
        self._dataset, self._clicked = dataset, clicked
        self._values: ParityData | None = None
        self.shown: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._steps = (0.0, 0.0)
        self.widget = new_plotly_figure(
            width=WIDTH, height=HEIGHT, margin={"l": 62, "r": 12, "t": 26, "b": 42}, bargap=0
        )
        self.widget.set_subplots(rows=2, cols=1, row_heights=[0.74, 0.26], vertical_spacing=0.17)
        self._add_traces()
        counts = {"type": "log", "title": "count", "exponentformat": "none", "nticks": 3}
        self.widget.update_yaxes(counts, row=2, col=1)
        self.widget.add_vline(x=0, line={"color": INK, "width": 1}, row=2, col=1)
        self.widget.update_layout(coloraxis={"colorbar": _COLORBAR})

    def _add_traces(self) -> None:
        line = {"color": INK, "width": 1}
        ring = {"size": 15, "symbol": "circle-open", "color": _MARK, "line": {"width": 3}}
        traces = (
            go.Scatter(mode="lines", line=line, hoverinfo="skip", name="diagonal"),
            go.Heatmap(
                colorscale="Viridis", showscale=False, hoverinfo="skip", name=DENSITY, visible=False
            ),
            go.Scatter(mode="markers", name="points", hovertemplate=_HOVER),
            go.Scatter(mode="markers", name="chosen", marker=ring, hoverinfo="skip"),
        )
        self.widget.add_traces(list(traces), rows=[1] * 4, cols=[1] * 4)
        bars = go.Bar(name="errors", marker={"color": BLUE, "line": {"width": 0}})
        self.widget.add_trace(bars, row=2, col=1)
        self._line, self._density, self._points, self._ring, self._bars = self.widget.data
        # the row of a point is looked up here, because customdata in clicks is unreliable
        self._points.on_click(lambda _, points, __: self._on_point(points))
        self._density.on_click(lambda _, points, __: self._on_cell(points))

    def show(
        self,
        values: ParityData,
        by: str,
        distances: Mapping[int, NDArray[np.float64]] | None = None,
    ) -> None:
        """Show the components of a property in colours, see :func:`coloring`."""
        self._values = values
        self.shown = _chosen(values, by)
        x, y = values.points()
        colors = coloring(by, values, self.shown, distances)
        across, up = values.axis_titles()
        ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
        with self.widget.batch_update():
            self._line.update(x=ends, y=ends)
            self._points.update(
                x=x[self.shown], y=y[self.shown], text=self._hover(values), marker=_marker(colors)
            )
            self._show_density(x, y, visible=by == DENSITY)
            self._show_errors(values)
            self.widget.update_xaxes(title=across, row=1, col=1)
            self.widget.update_yaxes(title=up, row=1, col=1)
            if colors.values is not None:
                title = {"text": colors.title, "side": "right"}
                self.widget.layout.coloraxis.update(
                    cmin=colors.limits[0], cmax=colors.limits[1], colorbar={"title": title}
                )

    def mark(self, row: int | None) -> None:
        """Draw a ring around a point, or remove it."""
        x: Any = []
        y: Any = []
        if row is not None and self._values is not None:
            x, y = (points[[row]] for points in self._values.points())
        with self.widget.batch_update():
            self._ring.update(x=x, y=y)

    def _hover(self, values: ParityData) -> list[str]:
        unit = values.about.shown_unit
        error = values.error
        return [
            f"{short_source(self._dataset, int(values.frame[i]))}<br>{values.place(i)}"
            f"<br>error {error[i]:.4g} {unit}"
            for i in self.shown.tolist()
        ]

    def _show_density(
        self, x: NDArray[np.float64], y: NDArray[np.float64], *, visible: bool
    ) -> None:
        self._density.visible = visible
        if not visible:
            return
        edges = bin_edges(x, _CELLS), bin_edges(y, _CELLS)
        counts, across, up = np.histogram2d(x, y, bins=list(edges))
        seen = np.where(counts.T > 0, np.log10(np.maximum(counts.T, 1)), np.nan)
        self._density.update(
            z=seen.astype(np.float32), x=(across[1:] + across[:-1]) / 2, y=(up[1:] + up[:-1]) / 2
        )
        self._steps = float(across[1] - across[0]), float(up[1] - up[0])

    def _show_errors(self, values: ParityData) -> None:
        counts, edges = histogram(values.error, N_BINS)
        self._bars.update(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            hovertemplate=f"error %{{x:.3g}} {values.about.shown_unit}: %{{y}}<extra></extra>",
        )
        top = np.log10(max(int(counts.max()), 1))
        self.widget.update_xaxes(title=values.about.with_unit("error"), row=2, col=1)
        self.widget.update_yaxes(range=[-0.3, top + 0.15], row=2, col=1)

    def _on_point(self, points: Any) -> None:
        if points.point_inds:
            self._clicked(int(self.shown[points.point_inds[0]]))

    def _on_cell(self, points: Any) -> None:
        """Select the largest error in a cell of the density."""
        if not points.xs or self._values is None:
            return
        x, y = self._values.points()
        inside = np.abs(x - points.xs[0]) <= self._steps[0] / 2
        inside &= np.abs(y - points.ys[0]) <= self._steps[1] / 2
        found = np.flatnonzero(inside)
        if len(found):
            self._clicked(int(found[np.argmax(np.abs(self._values.error[found]))]))


_COLORBAR = {"thickness": 12, "len": 0.78, "y": 1, "yanchor": "top", "title": {"side": "right"}}
_HOVER = "%{text}<br>label %{x:.4g}, prediction %{y:.4g}<extra></extra>"


def _chosen(values: ParityData, by: str) -> NDArray[np.int64]:
    """Return the points to draw: all, or for very many the worst and possibly a sample."""
    n = len(values)
    if n <= MAX_POINTS:
        return np.arange(n)
    worst = np.argpartition(-np.abs(values.error), N_WORST)[:N_WORST]
    if by == DENSITY:
        return worst
    sample = np.random.default_rng(0).choice(n, MAX_POINTS - N_WORST, replace=False)
    chosen: NDArray[np.int64] = np.unique(np.concatenate([worst, sample]))
    return chosen


def _marker(colors: Coloring) -> dict[str, Any]:
    marker: dict[str, Any] = {"size": 6, "opacity": 0.75}
    if colors.values is None:
        return marker | {"color": colors.colors, "coloraxis": None}
    return marker | {"color": colors.values, "coloraxis": "coloraxis"}


def short_source(dataset: AtomsDataset, frame: int) -> str:
    """Return the name of a frame by its file, without the folder, and shortened if long."""
    name, _, place = dataset.source_in_folder(frame).rpartition(", ")
    if len(name) > _LONGEST_NAME:
        half = _LONGEST_NAME // 2 - 1
        name = f"{name[:half]}…{name[-half:]}"
    return f"{name}, {place}"
