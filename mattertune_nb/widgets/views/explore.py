"""A data set at a glance, with its structures a click away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
import plotly.graph_objects as go

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.front_end import enable_colab_widgets
from mattertune_nb.widgets.page.picture import Message, Pictured, new_figure, only_widgets
from mattertune_nb.widgets.page.theme import BLUE, INK
from mattertune_nb.widgets.views.bins import histogram
from mattertune_nb.widgets.views.dataset_table import FORCE, DatasetTable
from mattertune_nb.widgets.views.structure_view import StructureView
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.data.datasets import AtomsDataset
    from mattertune_nb.widgets.page.export import Table

MAX_POINTS = 1500
"""More frames are shown as a sample, with those farthest out, below their histogram of all."""

_N_BINS = 40
_WIDTH = 910


class ExploreView(Pictured, W.VBox):  # type: ignore[misc]
    """Histograms above every frame as a point, linked with the structures below.

    A click shows a frame; a range brushed with the mouse, or a bar that is clicked, leaves only its
    frames in the slider.

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
        self._points: dict[str, NDArray[np.int64]] = {}
        self.figure = new_plotly_figure()
        self._draw()
        self.structure = StructureView(dataset, forces="label")
        self._kept = W.HTML()
        self.all_button = W.Button(
            description="All frames", tooltip="Show all frames again", layout=W.Layout(width="96px")
        )
        self.all_button.on_click(lambda _: self._keep(np.arange(len(self.dataset))))
        self._keep(self.selected)
        hint = W.HTML(
            "Drag over a plot to keep only the frames of that range; click a point or a bar.",
            layout=W.Layout(flex="1 1 auto"),
        )
        below = W.HBox(
            [self.structure, self._outliers()],
            layout=W.Layout(flex_flow="row wrap", overflow="visible"),
        )
        super().__init__(
            only_widgets(
                W.HTML(self._summary()),
                self.figure,
                W.HBox([hint, self._kept, self.all_button]),
                below,
            )
        )

    def _summary(self) -> str:
        table, n = self.table, len(self.dataset)
        elements = ", ".join(f"{s} {count}" for s, count in table.elements().items())
        labels = {"energy": table.energy, "forces": table.force, "stress": table.stress}
        counts = {name: int(np.isfinite(values).sum()) for name, values in labels.items()}
        held = ", ".join(
            f"{name} {'all' if count == n else count or 'none'}" for name, count in counts.items()
        )
        return (
            f'<div style="line-height:1.5"><b>{n} frames</b>, {table.n_formulas()} compositions; '
            f"atoms: {elements}. "
            f"Frames with labels: {held}. Energies are after per-element references.</div>"
        )

    def _draw(self) -> None:
        columns = self.table.columns()
        n = len(columns) + 1
        layout: dict[str, Any] = {
            "height": 320,
            "width": min(210 * n, _WIDTH),
            "margin": {"l": 30, "r": 8, "t": 8, "b": 40},
            "font": {"color": INK, "size": 10},
            "showlegend": False,
            "dragmode": "select",
            "selectdirection": "h",
            "hovermode": "closest",
            "bargap": 0.05,
        }
        axis = {"gridcolor": "rgba(128,128,128,.22)", "zeroline": False, "nticks": 5}
        for panel in range(n):
            domain = [
                panel / n,
                (panel + 1) / n - (0.06 if panel == 0 else 0.035 if panel < n - 1 else 0),
            ]
            name = _suffix(panel)
            words = {"text": ["composition", *columns][panel], "standoff": 6}
            anchor = f"y{_suffix(panel + n if panel else 0)}"
            layout[f"xaxis{name}"] = axis | {"domain": domain, "anchor": anchor, "title": words}
            top = [0.0, 1.0] if panel == 0 else [0.5, 1.0]
            layout[f"yaxis{name}"] = axis | {"domain": top, "anchor": f"x{name}"}
            if panel:
                layout[f"yaxis{_suffix(panel + n)}"] = axis | {
                    "domain": [0.0, 0.46], "anchor": f"x{name}", "showticklabels": panel == 1,
                    "title": {"text": "frame", "standoff": 2} if panel == 1 else None,
                }  # fmt: skip
        self._add_composition()
        for panel, (title, values) in enumerate(columns.items(), 1):
            self._add_column(panel, panel + n, title, values)
        self.figure.update_layout(layout)

    def _add_composition(self) -> None:
        symbols = list(self.table.elements())
        numbers = np.flatnonzero(self.table.composition.sum(axis=0))
        frames = [np.flatnonzero(self.table.composition[:, z]) for z in numbers]
        self.figure.add_trace(
            go.Bar(
                x=symbols,
                y=[len(f) for f in frames],
                name="composition",
                marker={"color": BLUE, "line": {"width": 0}},
                hovertemplate="%{x} in %{y} frames<extra></extra>",
            )
        )
        self._link_bars(frames)

    def _add_column(self, panel: int, below: int, title: str, values: NDArray[np.float64]) -> None:
        x = f"x{_suffix(panel)}"
        present = np.flatnonzero(np.isfinite(values))
        counted, of_frame = values[present], present
        if title == FORCE:
            counted, of_frame = self.table.norms, self.table.norm_frame
        counts, edges = histogram(counted, _N_BINS)
        bins = np.clip(np.searchsorted(edges, counted, side="right") - 1, 0, _N_BINS - 1)
        what = "atoms" if title == FORCE else "frames"
        self.figure.add_trace(
            go.Bar(
                x=(edges[1:] + edges[:-1]) / 2,
                y=counts,
                width=np.diff(edges),
                marker={"color": BLUE, "line": {"width": 0}},
                xaxis=x,
                yaxis=f"y{_suffix(panel)}",
                name=f"histogram of {title}",
                hovertemplate=f"%{{x:.4g}}: %{{y}} {what}<extra></extra>",
            )
        )
        self._link_bars([np.unique(of_frame[bins == k]) for k in range(_N_BINS)])
        points = self._points[title] = _sample(present, values)
        self.figure.add_trace(
            go.Scatter(
                x=values[points],
                y=points,
                mode="markers",
                marker={"size": 5, "color": BLUE, "opacity": 0.7},
                unselected={"marker": {"opacity": 0.12}},
                xaxis=x,
                yaxis=f"y{_suffix(below)}",
                name=title,
                hovertemplate="frame %{y}: %{x:.4g}<extra></extra>",
            )
        )
        trace = self.figure.data[-1]
        trace.on_click(lambda _, chosen, __: self._on_point(title, chosen))
        trace.on_selection(lambda _, chosen, brush: self._on_points(title, chosen, brush))

    def _link_bars(self, frames: list[NDArray[np.int64]]) -> None:
        """Let the last trace, a bar for each of `frames`, choose its frames."""

        def keep(chosen: Any) -> None:
            if chosen.point_inds:
                self._keep(np.unique(np.concatenate([frames[i] for i in chosen.point_inds])))

        trace = self.figure.data[-1]
        trace.on_click(lambda _, chosen, __: keep(chosen))
        trace.on_selection(lambda _, chosen, __: keep(chosen))

    def _on_point(self, title: str, chosen: Any) -> None:
        if chosen.point_inds:
            self.show(int(self._points[title][chosen.point_inds[0]]))

    def _on_points(self, title: str, chosen: Any, brush: Any) -> None:
        if not chosen.point_inds:
            return
        values, points = self.table.columns()[title], self._points[title]
        kept = np.sort(points[np.array(chosen.point_inds)])
        if len(points) < np.isfinite(values).sum():
            # a sample is drawn; plotly tells the range for the first panel alone
            ends = getattr(brush, "xrange", None) or values[kept]
            kept = np.flatnonzero((values >= min(ends)) & (values <= max(ends)))
        self._keep(kept)

    def show(self, frame: int) -> None:
        """Show a frame; all frames are kept again where it is not among those that are."""
        if frame not in self.selected:
            self._keep(np.arange(len(self.dataset)))
        self.structure.show(int(np.flatnonzero(self.selected == frame)[0]))

    def _keep(self, frames: NDArray[np.int64]) -> None:
        """Leave only these frames in the slider, and mark them in all plots."""
        if not len(frames):
            return
        n = len(self.dataset)
        if not np.array_equal(frames, self.selected):
            self.selected = frames
            self.structure.show_frames(self.dataset.take(frames))
        self._kept.value = f"{len(frames)} of {n} frames"
        self.all_button.disabled = len(frames) == n
        with self.figure.batch_update():
            for trace in self.figure.data:
                if trace.name in self._points:
                    kept = np.flatnonzero(np.isin(self._points[trace.name], frames))
                    trace.selectedpoints = None if len(frames) == n else kept

    def _outliers(self) -> W.Widget:
        rows: list[W.Widget] = [
            W.HTML("<b>farthest out</b>"),
            W.HTML("by its"),
            W.HTML("deviation", tooltip="in robust standard deviations from the median"),
        ]
        for frame, title, score in self.table.outliers():
            button = W.Button(
                description=f"frame {frame}",
                tooltip=f"Show frame {frame}",
                layout=W.Layout(width="92px"),
            )
            button.on_click(lambda _, frame=frame: self.show(frame))
            rows += [button, W.HTML(title), W.HTML(f"{score:.1f} σ")]
        layout = W.Layout(
            grid_template_columns="96px 150px 54px",
            grid_gap="0 8px",
            margin="0 0 0 16px",
            align_content="flex-start",
        )
        return W.GridBox(rows, layout=layout)

    def numbers(self) -> Table | None:
        """Return what is plotted of each frame; empty where a label is missing."""
        columns = self.table.columns()
        frames = [self.dataset.source(i) for i in range(len(self.dataset))]
        return {"frame": frames, "formula": self.table.formulas(), **columns}

    def draw(self) -> Figure | None:
        """Return histograms of all columns as a matplotlib figure."""
        columns = self.table.columns()
        figure, axes = new_figure(1, len(columns) + 1, 2.4 * (len(columns) + 1), 2.5)
        elements = self.table.elements()
        axes[0].bar(list(elements), list(elements.values()), color=BLUE)
        axes[0].set_xlabel("composition", fontsize=8)
        axes[0].set_ylabel("atoms", fontsize=8)
        for ax, (title, values) in zip(axes[1:], columns.items(), strict=True):
            counted = self.table.norms if title == FORCE else values[np.isfinite(values)]
            ax.stairs(*histogram(counted, _N_BINS), fill=True, color=BLUE)
            ax.set_xlabel(title, fontsize=8)
            ax.set_ylabel("atoms" if title == FORCE else "frames", fontsize=8)
        for ax in axes:
            ax.tick_params(labelsize=7)
        return figure


def _sample(present: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the frames that are drawn as points: all, or of very many a sample and the extremes."""
    if len(present) <= MAX_POINTS:
        return present
    order = present[np.argsort(values[present])]
    some = np.random.default_rng(0).choice(present, MAX_POINTS - 100, replace=False)
    chosen: NDArray[np.int64] = np.unique(np.concatenate([order[:50], order[-50:], some]))
    return chosen


def _suffix(panel: int) -> str:
    return "" if panel == 0 else str(panel + 1)


def explore(dataset: Any) -> ExploreView | W.HTML:
    """Show composition, sizes, energies, forces and stresses of a dataset, a list or a file."""
    try:
        return ExploreView(open_structures(dataset))
    except MatterTuneError as exc:
        return Message(str(exc))
