"""A data set at a glance, with its structures one click away."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.data.division.similar import principal_components, surroundings
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.training.figures import new_figure
from mattertune_nb.training.written_file import WrittenFile
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.front_end import enable_colab_widgets
from mattertune_nb.widgets.page.lifetime import close_with_parts
from mattertune_nb.widgets.page.linked import LinkedText
from mattertune_nb.widgets.page.picture import Message, Pictured, only_widgets
from mattertune_nb.widgets.page.style import error_html
from mattertune_nb.widgets.page.theme import BLUE
from mattertune_nb.widgets.page.work import Step, Work
from mattertune_nb.widgets.views.bins import histogram
from mattertune_nb.widgets.views.dataset_table import (
    FORCE,
    DatasetTable,
    FrameRows,
    named_property,
    summary_html,
)
from mattertune_nb.widgets.views.exact_xyz import write_exact
from mattertune_nb.widgets.views.explore_figure import MAP, ExploreFigure
from mattertune_nb.widgets.views.findings import FindingsPanel
from mattertune_nb.widgets.views.structure_view import StructureView
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.own_properties import OwnPropertyConfig
    from mattertune_nb.config.properties import Property
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.widgets.page.export import Table

MAX_FRAMES = 10_000
"""If there are more frames, this many are read, evenly spread."""

MAX_ON_MAP = 1_000
"""If there are more frames, this many are compared for the map, evenly spread."""

_TOO_MANY_ATOMS = 2_000
"""Structures with more atoms are not compared."""

PATIENCE = 2.0
"""Seconds that a cell waits for the frames; beyond that, reading continues in the background."""

_AT_ONCE = 100
_N_BINS = 40


class ExploreView(Pictured, W.VBox):  # type: ignore[misc]
    """Plots of a data set, linked to each other and to the structure beside them.

    Clicking a point shows its frame; brushing with the mouse, or clicking a bar, marks the frames in all
    plots and restricts the slider to them.

    Parameters
    ----------
    dataset
        The structures.
    own
        Custom properties to plot besides energy, forces and stress.
    """

    children: Any

    def __init__(self, dataset: AtomsDataset, own: Sequence[Property] = ()) -> None:
        enable_colab_widgets()
        self._total = len(dataset)
        if self._total > MAX_FRAMES:
            dataset = dataset.take(evenly_spread(self._total, MAX_FRAMES))
        self._sample, self._rows = dataset, FrameRows(dataset, own)
        self.dataset = dataset.take([])
        self.table: DatasetTable | None = None
        self._read, self._drawn = threading.Event(), threading.Event()
        self._kept, self._map_note, self._saved = W.HTML(), W.HTML(), LinkedText()
        self.all_button = W.Button(
            description="All frames", tooltip="Show all frames again", layout=W.Layout(width="96px")
        )
        self.all_button.on_click(lambda _: self._keep(np.arange(len(self.dataset))))
        self.path = W.Text(
            "selection.xyz", tooltip="Where the selection is saved", layout=W.Layout(width="170px")
        )
        self.save_button = W.Button(
            description="Save selection",
            tooltip="Write the selected frames as extended XYZ",
            layout=W.Layout(width="116px"),
        )
        self.save_button.on_click(lambda _: self._on_save())
        self._controls = W.HBox(
            [
                self._kept,
                self.all_button,
                self.path,
                self.save_button,
                self._saved,
                Download(self, "explore"),
            ],
            layout=W.Layout(flex_flow="row wrap", width="100%"),
        )
        self.work = Work(self._steps(), self._draw_what_is_read)
        super().__init__([self.work])
        self.work.start()
        if len(dataset) <= _AT_ONCE:
            self.work.wait()
        elif self._read.wait(PATIENCE):
            self._drawn.wait()
        if self.work.error is not None:
            raise self.work.error

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything is read and on the map; see :meth:`Work.wait`."""
        self.work.wait(timeout)

    def _steps(self) -> Iterator[Step]:
        """Read the frames, draw them, then compare them for the map."""
        n = len(self._sample)
        # a cancelled subset should be evenly spread too
        for done, i in enumerate(np.random.default_rng(0).permutation(n).tolist(), 1):
            self._rows.read(i)
            yield Step("reading", done, n, "frames")
        self._read.set()
        try:
            self._draw_what_is_read()
        finally:
            self._drawn.set()
        yield from self._map_steps()

    def _draw_what_is_read(self) -> None:
        """Draw the frames once they are read, or those available if the rest was cancelled."""
        frames = self._rows.frames
        complete = len(frames) == len(self._sample)
        if len(frames) in (0, len(self.dataset)) or not (complete or self.work.steps_done):
            return
        self.dataset = self._sample.take(frames)
        self.table = self._rows.table()
        self.selected: NDArray[np.int64] = np.arange(len(frames))
        self.plots = ExploreFigure(self.table)
        self.figure = self.plots.figure
        self.structure = StructureView(self.dataset, forces="label", height="300px")
        self.structure.layout.flex, self.structure.layout.min_width = "1 1 330px", "300px"
        self._link()
        self._keep(self.selected)
        beside = W.HBox(
            only_widgets(self.figure, self.structure),
            layout=W.Layout(flex_flow="row wrap", overflow="visible", width="100%"),
        )
        summary = W.HTML(summary_html(self.table, self._total))
        before = self.children
        self.children = [
            summary, self._controls, beside, self.work, self._map_note, self._tabs()
        ]  # fmt: skip
        kept = (self.work, self._controls, self._map_note)
        for old in before:
            if not any(old is widget for widget in kept):
                close_with_parts(old)

    def _link(self) -> None:
        """Let clicks and brushes select frames."""
        for name, groups in self.plots.bars.items():
            for trace in (self.plots.trace(name), self.plots.trace(f"selected {name}")):
                trace.on_click(lambda _, chosen, __, groups=groups: self._on_bars(groups, chosen))
                trace.on_selection(
                    lambda _, chosen, __, groups=groups: self._on_bars(groups, chosen)
                )
        for title in self.plots.points:
            trace = self.plots.trace(title)
            trace.on_click(lambda _, chosen, __, title=title: self._on_point(title, chosen))
            trace.on_selection(
                lambda _, chosen, brush, title=title: self._on_points(title, chosen, brush)
            )

    def _on_bars(self, groups: list[NDArray[np.int64]], chosen: Any) -> None:
        if chosen.point_inds:
            self._keep(np.unique(np.concatenate([groups[i] for i in chosen.point_inds])))

    def _on_point(self, title: str, chosen: Any) -> None:
        if chosen.point_inds:
            self.show(int(self.plots.points[title][chosen.point_inds[0]]))

    def _on_points(self, title: str, chosen: Any, brush: Any) -> None:
        if not chosen.point_inds:
            return
        points = self.plots.points[title]
        kept = np.sort(points[np.array(chosen.point_inds)])
        if title != MAP and self.table is not None:
            values = self.table.columns()[title]
            if len(points) < np.isfinite(values).sum():
                # a sample is drawn; plotly reports the range for the first panel only
                ends = getattr(brush, "xrange", None) or values[kept]
                kept = np.flatnonzero((values >= min(ends)) & (values <= max(ends)))
        self._keep(kept)

    def show(self, frame: int) -> None:
        """Show a frame; if it is not among the selected ones, the selection is cleared."""
        if frame not in self.selected:
            self._keep(np.arange(len(self.dataset)))
        self.structure.show(int(np.flatnonzero(self.selected == frame)[0]))

    def _keep(self, frames: NDArray[np.int64]) -> None:
        """Restrict the slider to these frames, and mark them in all plots."""
        if not len(frames):
            return
        n = len(self.dataset)
        if not np.array_equal(frames, self.selected):
            self.selected = frames
            self.structure.show_frames(self.dataset.take(frames))
        self._kept.value = f"<b>{len(frames)} of {n} frames</b>"
        self.all_button.disabled = len(frames) == n
        self._saved.say("")
        self.plots.mark(frames)

    def save_selection(self, path: str | Path) -> WrittenFile:
        """Write the selected frames as extended XYZ with everything they contain, and return the path.

        Raises
        ------
        DataError
            The file already exists or cannot be written.
        """
        target = Path(path).expanduser()
        if target.exists():
            msg = f"{target}: the file already exists. Give another name."
            raise DataError(msg)
        try:
            write_exact(target, (self.dataset.frame(int(i)) for i in self.selected))
        except OSError as exc:
            msg = f"{target}: cannot be written ({exc.strerror})."
            raise DataError(msg) from exc
        return WrittenFile(target)

    def _on_save(self) -> None:
        try:
            target = self.save_selection(self.path.value)
        except MatterTuneError as exc:
            self._saved.say(error_html(str(exc), css="mt-alert"))
        else:
            self._saved.say_written(f"{len(self.selected)} frames in", target)

    def _map_steps(self) -> Iterator[Step]:
        """Compare the structures, and show the map."""
        assert self.table is not None
        frames = evenly_spread(len(self.dataset), MAX_ON_MAP)
        frames = frames[self.dataset.n_atoms()[frames] <= _TOO_MANY_ATOMS]
        numbers = np.flatnonzero(self.table.composition.sum(axis=0)).tolist()
        rows: list[NDArray[np.float64]] = []
        for frame in frames.tolist():
            rows.append(surroundings(self.dataset.frame(frame), numbers))
            yield Step("similarity map", len(rows), len(frames), "structures")
        if len(rows) < 2:
            self._map_note.value = "No similarity map: it needs at least two structures."
            return
        self.plots.show_map(frames, *principal_components(np.array(rows)))
        self.plots.mark(self.selected)
        sample = "" if len(frames) == len(self.dataset) else f", {len(frames)} structures of it"
        self._map_note.value = unbroken(
            '<div style="line-height:1.4">Similarity map: the two principal components (PC) of the atomic '
            "environments: distances up to 6 Å between each pair of elements, and the elements' shares, "
            f"averaged over the atoms of a structure{sample}. Colours as for the formulas.</div>"
        )

    def _tabs(self) -> W.Tab:
        """Return the outliers, and the doctor's findings."""
        self.findings = FindingsPanel(self.dataset, self._show_numbers)
        return W.Tab([self._outliers(), self.findings.widget], titles=["Outliers", "Check"])

    def _show_numbers(self, numbers: tuple[int, ...]) -> None:
        """Restrict the view to the frames with these numbers in their source."""
        self._keep(np.flatnonzero(np.isin(self.dataset.indices, numbers)))

    def _outliers(self) -> W.Widget:
        assert self.table is not None
        rows: list[W.Widget] = [W.HTML("<b>Outliers</b>, in robust σ from the median:")]
        for frame, title, score in self.table.outliers():
            button = W.Button(
                description=f"frame {frame}: {title.split(' (')[0]} {score:.1f} σ",
                tooltip=f"Show frame {frame}; σ is 1.4826 times the median distance from the median",
                layout=W.Layout(width="auto"),
            )
            button.on_click(lambda _, frame=frame: self.show(frame))
            rows.append(button)
        return W.HBox(rows, layout=W.Layout(flex_flow="row wrap", width="100%"))

    def numbers(self) -> Table | None:
        """Return the plotted values of each frame; empty if a label is missing."""
        if self.table is None:
            return None
        columns = self.table.columns()
        frames = [self.dataset.source(i) for i in range(len(self.dataset))]
        return {"frame": frames, "formula": self.table.formulas(), **columns}

    def draw(self) -> Figure | None:
        """Return formulas and histograms of all columns as a matplotlib figure."""
        if self.table is None:
            return None
        columns = self.table.columns()
        figure, axes = new_figure(1, len(columns) + 1, 2.4 * (len(columns) + 1), 2.5)
        counted = self.table.formula_counts()[:8]
        axes[0].barh([name for name, _ in counted], [count for _, count in counted], color=BLUE)
        axes[0].invert_yaxis()
        axes[0].set_xlabel("frames per formula", fontsize=8)
        for ax, (title, values) in zip(axes[1:], columns.items(), strict=True):
            counted_values = self.table.norms if title == FORCE else values[np.isfinite(values)]
            ax.stairs(*histogram(counted_values, _N_BINS), fill=True, color=BLUE)
            ax.set_xlabel(title, fontsize=8)
            ax.set_ylabel("atoms" if title == FORCE else "frames", fontsize=8)
        for ax in axes:
            ax.tick_params(labelsize=7)
        return figure


def explore(
    dataset: Any, properties: Sequence[OwnPropertyConfig | str] = ()
) -> ExploreView | W.HTML:
    """Show formulas, sizes, energies, forces, stresses and similarity of a dataset, a list or a file.

    Parameters
    ----------
    dataset
        A dataset, its config, a list of structures, or a file.
    properties
        Further labels, e.g. ``["band_gap"]``: keys of the frames' info or arrays, or property configs, which
        include a unit.
    """
    try:
        found = open_structures(dataset)
        return ExploreView(found, [named_property(p, found) for p in properties])
    except MatterTuneError as exc:
        return Message(str(exc))
