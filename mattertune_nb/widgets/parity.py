"""Labels against predictions: parity plots whose points show their structures."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
import plotly.graph_objects as go

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.training.evaluation import load_model
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

    from mattertune_nb.config.task import PropertyName
    from mattertune_nb.data.datasets import AtomsDataset

MAX_POINTS = 5000
"""More are shown as a density."""

_UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stresses": "meV/Å³"}
_TITLES = {"energy": "energy", "forces": "forces", "stresses": "stress"}
_INK = "#7d828a"


@dataclass(frozen=True)
class ParityData:
    """Components of one property, in meV units as people read them.

    Attributes
    ----------
    label, prediction
        All components, (m,); energies per atom.
    frame
        Frame of each component, (m,).
    norm
        Norm of the force on the atom of each component, (m,), or the label's size.
    """

    label: NDArray[np.float64]
    prediction: NDArray[np.float64]
    frame: NDArray[np.int64]
    norm: NDArray[np.float64]

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.prediction - self.label).mean())

    @property
    def rmse(self) -> float:
        """Root mean square error."""
        return float(np.sqrt(np.square(self.prediction - self.label).mean()))

    @property
    def r2(self) -> float:
        """Coefficient of determination."""
        spread = np.square(self.label - self.label.mean()).sum()
        return (
            float(1 - np.square(self.prediction - self.label).sum() / spread) if spread else np.nan
        )

    def title(self, name: str) -> str:
        """Return the errors in a line."""
        unit = _UNITS[name]
        return f"{_TITLES[name]}: MAE {self.mae:.3g}, RMSE {self.rmse:.3g} {unit}, R² {self.r2:.4f}"


def parity_data(model: FinetuneModuleBase, dataset: AtomsDataset) -> dict[PropertyName, ParityData]:
    """Predict a dataset and pair labels with predictions; properties without labels are left out."""
    names: tuple[PropertyName, ...] = ("energy", "forces", "stresses")
    predictions = model.property_predictor().predict([dataset[i] for i in range(len(dataset))])
    parts: dict[PropertyName, list[tuple[Any, Any, Any, Any]]] = {name: [] for name in names}
    for i, prediction in enumerate(predictions):
        labels = dataset.labels(i, dict.fromkeys(names, "mask"))
        n_atoms = len(prediction["forces"])
        for name in names:
            if name not in labels or name not in prediction:
                continue
            label, guess = np.atleast_1d(labels[name]), np.atleast_1d(prediction[name])
            if name == "energy":
                label, guess = label / n_atoms, guess / n_atoms
            norm = np.linalg.norm(label, axis=1).repeat(3) if name == "forces" else np.abs(label)
            label, guess = 1000 * label.ravel(), 1000 * guess.ravel()
            parts[name].append((label, guess, np.full(label.size, i), 1000 * norm.ravel()))
    return {
        name: ParityData(*(np.concatenate(column) for column in zip(*rows, strict=True)))
        for name, rows in parts.items()
        if rows
    }


class ParityView(Pictured, W.VBox):  # type: ignore[misc]
    """Parity plots beside the structure of the point that was clicked.

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
        self.figure = new_plotly_figure(**self._layout())
        for number, (name, values) in enumerate(self.data.items(), 1):
            self._add(number, name, values)
        self.structure = StructureView(
            dataset,
            forces="difference",
            predict=lambda atoms: model.property_predictor().predict([atoms], ["forces"])[0][
                "forces"
            ],
        )
        hint = W.HTML(
            "Click a point to see its structure; arrows are the force error (1 Å for 1 eV/Å)."
        )
        super().__init__(only_widgets(self.figure, hint, self.structure))

    def _layout(self) -> dict[str, Any]:
        n = max(len(self.data), 1)
        layout: dict[str, Any] = {
            "height": 380,
            "width": 60 + 300 * n,
            "margin": {"l": 60, "r": 10, "t": 60, "b": 45},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": _INK, "size": 11},
            "showlegend": False,
        }
        annotations = []
        for number, (name, values) in enumerate(self.data.items(), 1):
            suffix = "" if number == 1 else str(number)
            left, right = (number - 1) / n, number / n - (0.09 if number < n else 0)
            axis = {"gridcolor": "rgba(128,128,128,.22)", "zeroline": False}
            layout[f"xaxis{suffix}"] = axis | {
                "domain": [left, right], "anchor": f"y{suffix}", "title": f"label ({_UNITS[name]})"
            }  # fmt: skip
            layout[f"yaxis{suffix}"] = axis | {"anchor": f"x{suffix}", "title": "prediction"}
            annotations.append(
                {
                    "text": values.title(name).replace(": ", "<br>"),
                    "x": left,
                    "y": 1.0,
                    "xref": "paper",
                    "yref": "paper",
                    "xanchor": "left",
                    "yanchor": "bottom",
                    "align": "left",
                    "showarrow": False,
                }
            )
        return layout | {"annotations": annotations}

    def _add(self, number: int, name: str, values: ParityData) -> None:
        axes = {
            "xaxis": f"x{'' if number == 1 else number}",
            "yaxis": f"y{'' if number == 1 else number}",
        }
        ends = [float(values.label.min()), float(values.label.max())]
        self.figure.add_trace(
            go.Scatter(
                x=ends,
                y=ends,
                mode="lines",
                line={"color": _INK, "width": 1},
                hoverinfo="skip",
                **axes,
            )
        )
        if len(values.label) > MAX_POINTS:
            density, x, y = np.histogram2d(values.label, values.prediction, bins=150)
            shown = np.where(density.T > 0, np.log10(np.maximum(density.T, 1)), np.nan)
            self.figure.add_trace(
                go.Heatmap(
                    z=shown, x=x, y=y, colorscale="Viridis", showscale=False, name=name, **axes
                )
            )
            return
        self.figure.add_trace(
            go.Scatter(
                x=values.label,
                y=values.prediction,
                mode="markers",
                marker={"size": 5, "color": values.norm, "colorscale": "Viridis", "opacity": 0.7},
                text=[self.dataset.source(int(i)) for i in values.frame],
                hovertemplate="%{text}<br>label %{x:.4g}<br>prediction %{y:.4g}<extra></extra>",
                name=name,
                **axes,
            )
        )
        # the row of a point is looked up here: customdata in clicks is unreliable
        self.figure.data[-1].on_click(lambda _, points, __: self._on_click(name, points))

    def _on_click(self, name: Any, points: Any) -> None:
        if points.point_inds:
            self.structure.show(int(self.data[name].frame[points.point_inds[0]]))

    def picture(self) -> bytes | None:
        """Return the plots as PNG."""
        return draw_parity({"": self.data})


def draw_parity(rows: dict[str, dict[PropertyName, ParityData]]) -> bytes:
    """Draw parity plots as PNG, a row for each model; a density where there are many points."""
    columns = max(len(data) for data in rows.values())
    figure, axes = new_figure(len(rows), columns, 3.6 * columns, 3.3 * len(rows))
    for row, (title, data) in enumerate(rows.items()):
        for ax, (name, values) in zip(axes[row * columns :], data.items(), strict=False):
            ends = [values.label.min(), values.label.max()]
            ax.plot(ends, ends, color="0.6", lw=1)
            if len(values.label) > MAX_POINTS:
                ax.hexbin(values.label, values.prediction, gridsize=70, bins="log", mincnt=1)
            else:
                ax.scatter(values.label, values.prediction, c=values.norm, s=5, alpha=0.7)
            ax.set_title(f"{title} {values.title(name)}".replace(": ", "\n"), fontsize=8)
            ax.set_xlabel(f"label ({_UNITS[name]})", fontsize=8)
            ax.set_ylabel("prediction", fontsize=8)
            ax.tick_params(labelsize=7)
    return png(figure)


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
        model, frames = as_model(model_or_run), open_structures(dataset)
        data = parity_data(model, frames)
    except MatterTuneError as exc:
        return message(str(exc))
    if not data:
        return message(f"{frames.name}: no frame has labels to compare with.")
    return ParityView(model, frames, data)


def as_model(model_or_run: Any) -> FinetuneModuleBase:
    """Return the model of a run, of a path, or the model itself."""
    if isinstance(model_or_run, FinetuneModuleBase):
        return model_or_run
    return load_model(getattr(model_or_run, "path", model_or_run))


def message(text: str) -> W.HTML:
    """Return a message in the place of a view."""
    return W.HTML(f'<div role="alert">{html.escape(text)}</div>')
