"""The plots of a data set: formulas, similarity map, and each number as histogram and by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.theme import BLUE, GREY, PALETTE
from mattertune_nb.widgets.views.bins import histogram
from mattertune_nb.widgets.views.dataset_table import FORCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.widgets.views.dataset_table import DatasetTable

MAX_POINTS = 1500
"""If there are more frames, a sample and the outliers are shown, below a histogram of all frames."""

N_FORMULAS = 7
"""Number of formulas with their own bar and colour; all others share one."""

MAP = "similarity map"
_N_BINS = 40
_WIDTH, _HEIGHT = 560, 560
_DECADES = 100
_FAINT = 0.3


class ExploreFigure:
    """The plots, and the frames behind each bar and point.

    Parameters
    ----------
    table
        The numbers of the data set.

    Attributes
    ----------
    figure
        The plotly figure.
    bars
        For each bar trace, the frames of each bar.
    points
        For each point trace, the frame of each point.
    """

    def __init__(self, table: DatasetTable) -> None:
        self.table = table
        self.bars: dict[str, list[NDArray[np.int64]]] = {}
        self.points: dict[str, NDArray[np.int64]] = {}
        self._weights: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        columns = table.columns()
        across = max(2, len(columns))
        left = across // 2
        top = [{"colspan": left}, *[None] * (left - 1)]
        top += [{"colspan": across - left}, *[None] * (across - left - 1)]
        single: list[Any] = [{}] * across if len(columns) > 1 else [{"colspan": across}, None]
        self.figure = make_subplots(
            rows=3,
            cols=across,
            specs=[top, single, single],
            row_heights=[0.42, 0.3, 0.28],
            horizontal_spacing=0.075,
            vertical_spacing=0.09,
            figure=new_plotly_figure(),
        )
        self._add_formulas(table)
        self._map_column = left + 1
        self._add_map()
        for column, (title, values) in enumerate(columns.items(), 1):
            self._add_column(column, title, values)
        self.figure.update_layout(
            width=_WIDTH,
            height=_HEIGHT,
            margin={"l": 8, "r": 8, "t": 22, "b": 8},
            font={"size": 10},
            dragmode="select",
            barmode="overlay",
            bargap=0.05,
        )
        self.figure.update_xaxes(nticks=4)
        self.figure.update_yaxes(nticks=5)
        # each formula is named, of which plotly would leave out some
        self.figure.update_yaxes(tickmode="linear", dtick=1, row=1, col=1)

    def _add_formulas(self, table: DatasetTable) -> None:
        counted = table.formula_counts()
        frames = np.array(table.formulas())
        names = [name for name, _ in counted[:N_FORMULAS]]
        groups = [np.flatnonzero(frames == name) for name in names]
        self.colors = np.full(len(frames), GREY, dtype=object)
        for name, color in zip(names, PALETTE, strict=False):
            self.colors[frames == name] = color
        colors = list(PALETTE[: len(names)])
        if len(counted) > N_FORMULAS:
            names.append(f"{len(counted) - N_FORMULAS} others")
            groups.append(np.flatnonzero(~np.isin(frames, names)))
            colors.append(GREY)
        counts = [len(group) for group in groups]
        shown: dict[str, Any] = {"orientation": "h", "y": names}
        shown["hovertemplate"] = "%{y}: %{x} frames<extra></extra>"
        shown["marker"] = {"color": colors, "line": {"width": 0}}
        self._add_bars("formulas", groups, counts, shown, 1, 1, horizontal=True)
        self.figure.update_yaxes(autorange="reversed", row=1, col=1)
        self.figure.update_xaxes(title="frames per formula", row=1, col=1)

    def _add_bars(
        self,
        name: str,
        groups: list[NDArray[np.int64]],
        counts: Any,
        shown: dict[str, Any],
        row: int,
        col: int,
        *,
        horizontal: bool = False,
    ) -> None:
        """Add bars of all frames, faint behind those of the selected frames."""
        self.bars[name] = groups
        value = "x" if horizontal else "y"
        behind = go.Bar(**shown, **{value: counts}, name=name, opacity=_FAINT)
        before = go.Bar(**shown, **{value: counts}, name=f"selected {name}")
        self.figure.add_trace(behind, row=row, col=col)
        self.figure.add_trace(before, row=row, col=col)
        present = np.asarray(counts)[np.asarray(counts) > 0]
        if len(present) and present.max() >= _DECADES * present.min():
            update = self.figure.update_xaxes if horizontal else self.figure.update_yaxes
            # bars of a single frame must be visible too
            ends = [-0.3, np.log10(present.max()) + 0.15]
            update(type="log", exponentformat="none", range=ends, row=row, col=col)

    def _add_map(self) -> None:
        self.points[MAP] = np.zeros(0, np.int64)
        self.figure.add_trace(
            go.Scatter(
                mode="markers",
                name=MAP,
                marker={"size": 6, "opacity": 0.8},
                unselected={"marker": {"opacity": 0.1}},
                hovertemplate="frame %{text}<extra></extra>",
            ),
            row=1,
            col=self._map_column,
        )
        self.figure.update_xaxes(title="similarity map", row=1, col=self._map_column)

    def show_map(
        self,
        frames: NDArray[np.int64],
        places: NDArray[np.float64],
        shares: NDArray[np.float64],
    ) -> None:
        """Show where structures lie on the map, and how much of their variance its axes hold."""
        self.points[MAP] = frames
        with self.figure.batch_update():
            trace = self.trace(MAP)
            trace.x, trace.y, trace.text = places[:, 0], places[:, 1], frames
            trace.marker.color = list(self.colors[frames])
            first, second = (f"{100 * share:.0f} %" for share in shares)
            titles = {"row": 1, "col": self._map_column}
            # a title beside the axis would lie on the formulas' bars
            title = f"similarity map: PC 1 ({first}) across, PC 2 ({second}) up"
            self.figure.update_xaxes(title=title, **titles)

    def _add_column(self, col: int, title: str, values: NDArray[np.float64]) -> None:
        present = np.flatnonzero(np.isfinite(values))
        counted, of_frame = values[present], present
        if title == FORCE:
            counted, of_frame = self.table.norms, self.table.norm_frame
        counts, edges = histogram(counted, _N_BINS)
        bins = np.clip(np.searchsorted(edges, counted, side="right") - 1, 0, _N_BINS - 1)
        what = "atoms" if title == FORCE else "frames"
        name = f"histogram of {title}"
        self._weights[name] = bins, of_frame
        shown = {
            "x": (edges[1:] + edges[:-1]) / 2,
            "width": np.diff(edges),
            "marker": {"color": BLUE, "line": {"width": 0}},
            "hovertemplate": f"%{{x:.4g}}: %{{y}} {what}<extra></extra>",
        }
        groups = [np.unique(of_frame[bins == k]) for k in range(_N_BINS)]
        self._add_bars(name, groups, counts, shown, 2, col)
        self.figure.update_yaxes(title=what if title in (FORCE, "atoms") else None, row=2, col=col)
        points = self.points[title] = _sample(present, values)
        self.figure.add_trace(
            go.Scatter(
                x=values[points],
                y=points,
                mode="markers",
                marker={"size": 4, "color": BLUE, "opacity": 0.7},
                unselected={"marker": {"opacity": 0.12}},
                name=title,
                hovertemplate="frame %{y}: %{x:.4g}<extra></extra>",
            ),
            row=3,
            col=col,
        )
        self.figure.update_xaxes(title=title, row=3, col=col)
        if col == 1:
            self.figure.update_yaxes(title="frame", row=3, col=col)

    def trace(self, name: str) -> Any:
        """Return a trace by its name."""
        return next(trace for trace in self.figure.data if trace.name == name)

    def mark(self, frames: NDArray[np.int64]) -> None:
        """Mark the selected frames in every plot."""
        everything = len(frames) == len(self.table.n_atoms)
        inside = np.zeros(len(self.table.n_atoms), bool)
        inside[frames] = True
        with self.figure.batch_update():
            for name, groups in self.bars.items():
                if name in self._weights:
                    bins, of_frame = self._weights[name]
                    counts = np.bincount(bins[inside[of_frame]], minlength=len(groups))
                    self.trace(f"selected {name}").y = counts
                else:
                    kept = [int(inside[group].sum()) for group in groups]
                    self.trace(f"selected {name}").x = kept
            for name, points in self.points.items():
                kept_points = None if everything else np.flatnonzero(inside[points])
                self.trace(name).selectedpoints = kept_points


def _sample(present: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the frames drawn as points: all, or for very many a sample and the extremes."""
    if len(present) <= MAX_POINTS:
        return present
    order = present[np.argsort(values[present])]
    some = np.random.default_rng(0).choice(present, MAX_POINTS - 100, replace=False)
    chosen: NDArray[np.int64] = np.unique(np.concatenate([order[:50], order[-50:], some]))
    return chosen
