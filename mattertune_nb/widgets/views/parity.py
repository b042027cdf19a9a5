"""Labels against predictions: parity plots whose points show their structures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.training.evaluation import label_keys, load_model
from mattertune_nb.widgets.page.figure import new_plotly_figure
from mattertune_nb.widgets.page.front_end import enable_colab_widgets
from mattertune_nb.widgets.page.picture import Message, Pictured, only_widgets
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.page.theme import BLUE, INK
from mattertune_nb.widgets.views.bins import bin_edges
from mattertune_nb.widgets.views.parity_data import ParityData, parity_data, parity_numbers
from mattertune_nb.widgets.views.parity_picture import MAX_POINTS, draw_parity
from mattertune_nb.widgets.views.structure_view import StructureView, predicted_forces
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.task import PropertyName
    from mattertune_nb.data.datasets import AtomsDataset
    from mattertune_nb.widgets.page.export import Table

N_WORST = 300
"""Points with the largest errors, which are shown, and can be clicked, on every density."""

_BINS = 150
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#999933")


class ParityView(Pictured, W.VBox):  # type: ignore[misc]
    """Parity plots above the structure of the point that was clicked.

    Parameters
    ----------
    model
        Predicts.
    dataset
        Structures with labels.
    data
        What :func:`parity_data` returned, if it is there already.
    """

    def __init__(
        self,
        model: FinetuneModuleBase,
        dataset: AtomsDataset,
        data: dict[PropertyName, ParityData] | None = None,
    ) -> None:
        enable_colab_widgets()
        self.dataset = dataset
        self.data = parity_data(model, dataset) if data is None else data
        self._many = any(len(values.label) > MAX_POINTS for values in self.data.values())
        self._shown: dict[str, NDArray[np.int64]] = {}
        choices = ["density"] * self._many + ["force norm", "element"]
        self.color = W.Dropdown(
            options=choices,
            description="colour by",
            tooltip="What colours the points",
            layout=W.Layout(width="230px"),
        )
        self._legend = W.HTML()
        self.figure = new_plotly_figure(**self._layout())
        for panel, (name, values) in enumerate(self.data.items(), 1):
            self._add(panel, name, values)
        self._paint()
        self.color.observe(lambda _: self._paint(), "value")
        predict = partial(predicted_forces, model)
        self.structure = StructureView(dataset, forces="difference", predict=predict)
        hint = W.HTML("Click a point to see its structure with the error of its forces.")
        super().__init__(
            only_widgets(W.HBox([self.color, self._legend]), self.figure, hint, self.structure)
        )

    def _layout(self) -> dict[str, Any]:
        n = max(len(self.data), 1)
        layout: dict[str, Any] = {
            "height": 380,
            "width": min(150 + 330 * n, 910),
            "margin": {"l": 60, "r": 10, "t": 62, "b": 45},
            "font": {"color": INK, "size": 11},
            "showlegend": False,
            "hovermode": "closest",
            "coloraxis": {
                "colorscale": "Viridis",
                "cmin": 0,
                "cmax": self._largest_norm(),
                "colorbar": {"title": {"text": "force (meV/Å)", "side": "right"}, "thickness": 12},
            },
        }
        annotations = []
        for panel, (name, values) in enumerate(self.data.items(), 1):
            left, right = (panel - 1) / n, panel / n - (0.075 if panel < n else 0)
            across, up = values.axis_titles(name)
            axis = {"gridcolor": "rgba(128,128,128,.22)", "zeroline": False}
            layout[f"xaxis{_suffix(panel)}"] = axis | {
                "domain": [left, right], "anchor": f"y{_suffix(panel)}", "title": across
            }  # fmt: skip
            layout[f"yaxis{_suffix(panel)}"] = axis | {
                "anchor": f"x{_suffix(panel)}", "title": {"text": up, "standoff": 4}
            }  # fmt: skip
            annotations.append(
                {
                    "text": values.title(name).replace("\n", "<br>"),
                    "x": left,
                    "y": 1.01,
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "left",
                    "yanchor": "bottom",
                    "align": "left",
                    "showarrow": False,
                }
            )
        return layout | {"annotations": annotations}

    def _largest_norm(self) -> float:
        norms = [v.norm[np.isfinite(v.norm)] for v in self.data.values()]
        return max((float(np.quantile(n, 0.99)) for n in norms if len(n)), default=1.0) or 1.0

    def _add(self, panel: int, name: PropertyName, values: ParityData) -> None:
        axes = {"xaxis": f"x{_suffix(panel)}", "yaxis": f"y{_suffix(panel)}"}
        x, y = values.points()
        ends = [float(x.min()), float(x.max())]
        line = {"color": INK, "width": 1}
        self.figure.add_trace(
            go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", **axes)
        )
        if len(x) > MAX_POINTS:
            counts, across, up = np.histogram2d(
                x, y, bins=[bin_edges(x, _BINS), bin_edges(y, _BINS)]
            )
            shown = np.where(counts.T > 0, np.log10(np.maximum(counts.T, 1)), np.nan)
            self.figure.add_trace(
                go.Heatmap(
                    z=shown.astype(np.float32),
                    x=(across[1:] + across[:-1]) / 2,
                    y=(up[1:] + up[:-1]) / 2,
                    colorscale="Viridis",
                    showscale=False,
                    name=f"density of {name}",
                    hoverinfo="skip",
                    **axes,
                )
            )
            steps = across[1] - across[0], up[1] - up[0]
            self.figure.data[-1].on_click(lambda _, points, __: self._on_cell(name, points, steps))
        self.figure.add_trace(
            go.Scatter(
                mode="markers",
                name=name,
                hovertemplate="%{text}<br>label %{x:.4g}<br>prediction %{y:.4g}<extra></extra>",
                **axes,
            )
        )
        # the row of a point is looked up here: customdata in clicks is unreliable
        self.figure.data[-1].on_click(lambda _, points, __: self._on_click(name, points))

    def _paint(self) -> None:
        """Show the points in the colours that are chosen."""
        by = self.color.value
        with self.figure.batch_update():
            for trace in self.figure.data:
                if trace.type == "heatmap":
                    trace.visible = by == "density"
            for name, values in self.data.items():
                chosen = self._shown[name] = self._choice(values)
                x, y = values.points()
                trace = next(t for t in self.figure.data if t.name == name)
                trace.x, trace.y = x[chosen], y[chosen]
                trace.text = [self.dataset.source(int(i)) for i in values.frame[chosen]]
                trace.marker = self._marker(values, chosen)
        self._legend.value = self._legend_html()

    def _choice(self, values: ParityData) -> NDArray[np.int64]:
        """Return which points are drawn: all, or of very many the worst and perhaps a sample."""
        n = len(values.label)
        if n <= MAX_POINTS:
            return np.arange(n)
        worst = np.argpartition(-np.abs(values.error), N_WORST)[:N_WORST]
        if self.color.value == "density":
            return worst
        sample = np.random.default_rng(0).choice(n, MAX_POINTS - N_WORST, replace=False)
        chosen: NDArray[np.int64] = np.unique(np.concatenate([worst, sample]))
        return chosen

    def _marker(self, values: ParityData, chosen: NDArray[np.int64]) -> dict[str, Any]:
        by = self.color.value
        marker: dict[str, Any] = {"size": 5, "opacity": 0.75}
        if by == "density":
            plain = len(values.label) <= MAX_POINTS
            return marker | {"color": BLUE if plain else "#d62728", "coloraxis": None}
        norm = values.norm[chosen]
        if by == "force norm" and np.isfinite(norm).all():
            return marker | {"color": norm, "coloraxis": "coloraxis"}
        if by == "element" and values.element is not None and values.element.any():
            colors = self._element_colors()
            return marker | {"color": [colors[z] for z in values.element[chosen].tolist()]}
        return marker | {"color": BLUE}

    def _element_colors(self) -> dict[int, str]:
        numbers: set[int] = set()
        for values in self.data.values():
            if values.element is not None:
                numbers |= set(np.unique(values.element).tolist())
        return {z: _PALETTE[i % len(_PALETTE)] for i, z in enumerate(sorted(numbers - {0}))}

    def _legend_html(self) -> str:
        parts = []
        if self.color.value == "element":
            for z, color in self._element_colors().items():
                dot = (
                    f'<span style="background:{color};border-radius:50%;display:inline-block;'
                    'width:10px;height:10px"></span>'
                )
                parts.append(f"{dot} {chemical_symbols[z]}")
        if self._many:
            total = max(len(values.label) for values in self.data.values())
            parts.append(
                f"red: the {N_WORST} largest errors of {number(total)}"
                if self.color.value == "density"
                else f"a sample of {number(MAX_POINTS)} of {number(total)}, with the largest errors"
            )
        return " &nbsp; ".join(parts)

    def _on_click(self, name: PropertyName, points: Any) -> None:
        if points.point_inds:
            position = self._shown[name][points.point_inds[0]]
            self.structure.show(int(self.data[name].frame[position]))

    def _on_cell(self, name: PropertyName, points: Any, steps: tuple[float, float]) -> None:
        """Show the structure with the largest error in a cell of the density."""
        if not points.xs:
            return
        values = self.data[name]
        x, y = values.points()
        inside = np.abs(x - points.xs[0]) <= steps[0] / 2
        inside &= np.abs(y - points.ys[0]) <= steps[1] / 2
        found = np.flatnonzero(inside)
        if len(found):
            worst = found[np.argmax(np.abs(values.error[found]))]
            self.structure.show(int(values.frame[worst]))

    def draw(self) -> Figure | None:
        """Return the plots as a matplotlib figure."""
        return draw_parity({"": self.data})

    def numbers(self) -> Table | None:
        """Return every label with its prediction."""
        return parity_numbers(self.data, self.dataset)


def _suffix(panel: int) -> str:
    return "" if panel == 1 else str(panel)


def parity(model_or_run: Any, dataset: Any) -> ParityView | W.HTML:
    """Plot labels against predictions of energy, forces and stress.

    Parameters
    ----------
    model_or_run
        A model, a run, or the path of a run or checkpoint.
    dataset
        Structures with labels: a dataset, a list, or a file.

    Returns
    -------
    ipywidgets.DOMWidget
        The plots, or a message where labels or files are missing.
    """
    try:
        model, frames = open_pair(model_or_run, dataset)
        data = parity_data(model, frames)
    except MatterTuneError as exc:
        return Message(str(exc))
    if not data:
        return Message(f"{frames.name}: no frame has labels to compare with.")
    return ParityView(model, frames, data)


def open_pair(model_or_run: Any, dataset: Any) -> tuple[FinetuneModuleBase, AtomsDataset]:
    """Return a model, and structures whose labels have the names that its run was trained on."""
    if isinstance(model_or_run, FinetuneModuleBase):
        return model_or_run, open_structures(dataset)
    path = getattr(model_or_run, "path", model_or_run)
    return load_model(path), open_structures(dataset, label_keys(path))
