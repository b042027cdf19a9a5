"""Structures inline: a still picture first, a live viewer on demand."""

from __future__ import annotations

import html
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.data.colors import jmol_colors
from ase.visualize.plot import plot_atoms

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.data.datasets import AtomsDataset, XYZDatasetConfig, as_dataset
from mattertune_nb.widgets.picture import Pictured, enable_colab_widgets, new_figure, png

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MAX_LIVE = 6
"""Live viewers at a time: a browser gives a page some 16 WebGL contexts and takes the oldest away."""

_live: deque[StructureView] = deque()
_ARROW = 1.0  # Å per eV/Å
_ROTATION = "10x,20y,0z"


class StructureView(Pictured, W.VBox):  # type: ignore[misc]
    """Frames with a slider; a picture that becomes a live nglview on a click.

    Parameters
    ----------
    frames
        The structures; each is read when it is shown.
    forces
        Force arrows: ``"label"``, ``"prediction"``, ``"difference"`` or nothing.
    predict
        Predicts the forces of a structure, (n, 3) in eV/Å, where arrows need them.
    color
        Values of the atoms of a frame, (n,), that colour them, by frame number.
    color_label
        What the values are, with their unit.
    """

    def __init__(
        self,
        frames: AtomsDataset,
        *,
        forces: str | None = None,
        predict: Callable[[Atoms], NDArray[np.float64]] | None = None,
        color: Callable[[int], NDArray[np.float64]] | None = None,
        color_label: str = "",
    ) -> None:
        enable_colab_widgets()
        self.frames, self._forces, self._predict = frames, forces, predict
        self._color, self._color_label = color, color_label
        self.viewer: Any = None
        self.slider = W.IntSlider(
            0,
            0,
            max(len(frames) - 1, 1),
            description="frame",
            continuous_update=False,
            layout=W.Layout(width="420px", display=None if len(frames) > 1 else "none"),
        )
        self.live_button = W.Button(
            description="Rotate", icon="cube", tooltip="Show a live viewer that can be turned"
        )
        self._image = W.Image(format="png", layout=W.Layout(max_width="420px"))
        self._place = W.VBox([self._image])
        self._caption = W.HTML()
        self.slider.observe(lambda change: self.show(change["new"]), "value")
        self.live_button.on_click(lambda _: self.toggle())
        super().__init__([W.HBox([self.slider, self.live_button]), self._caption, self._place])
        self.show(0)

    def show(self, index: int) -> None:
        """Show a frame; what cannot be read becomes a message and the last picture stays."""
        try:
            atoms = self.frames[index]
            arrows = self._arrows(index, atoms)
            values = None if self._color is None else np.asarray(self._color(index))
        except MatterTuneError as exc:
            self._caption.value = f'<div role="alert">{html.escape(str(exc))}</div>'
            return
        self._drawn = draw_structure(atoms, arrows, values, self._color_label)
        self._image.value = self._drawn
        facts = f"{atoms.get_chemical_formula()} · {len(atoms)} atoms {_legend(atoms)}"
        self._caption.value = f"{html.escape(self.frames.source(index))} · {facts}"
        if self.slider.value != index:
            self.slider.value = index
        if self.viewer is not None:
            self._fill_viewer(atoms, arrows)

    def _arrows(self, index: int, atoms: Atoms) -> NDArray[np.float64] | None:
        if self._forces is None:
            return None
        label = self.frames.labels(index, {"forces": "mask"}).get("forces")
        if self._forces == "label":
            return None if label is None else np.asarray(label)
        if self._predict is None:
            return None
        prediction = self._predict(atoms)
        if self._forces == "prediction":
            return prediction
        return None if label is None else prediction - np.asarray(label)

    def toggle(self) -> None:
        """Change between the picture and the live viewer; the oldest of too many is put to sleep."""
        if self.viewer is not None:
            self.sleep()
            return
        import nglview

        self.viewer = nglview.NGLWidget()
        self.viewer.layout.width = "420px"
        index = self.slider.value
        atoms = self.frames[index]
        self._fill_viewer(atoms, self._arrows(index, atoms))
        self._place.children = [self.viewer]
        self.live_button.description = "Picture"
        _live.append(self)
        while len(_live) > MAX_LIVE:
            _live[0].sleep()

    def _fill_viewer(self, atoms: Atoms, arrows: NDArray[np.float64] | None) -> None:
        import nglview

        viewer = self.viewer
        for component in list(viewer._ngl_component_ids):
            viewer.remove_component(component)
        component = viewer.add_component(nglview.ASEStructure(atoms))
        component.clear_representations()
        component.add_representation("ball+stick", aspectRatio=3)
        if atoms.pbc.any():
            component.add_unitcell()
        if arrows is not None:
            for start, arrow in zip(atoms.positions.tolist(), arrows.tolist(), strict=True):
                end = [a + _ARROW * b for a, b in zip(start, arrow, strict=True)]
                viewer.shape.add_arrow(start, end, [0.85, 0.2, 0.2], 0.08)
        viewer.center()

    def sleep(self) -> None:
        """Give the WebGL context back and show the picture again."""
        if self.viewer is not None:
            self._place.children = [self._image]
            self.viewer.close()
            self.viewer = None
            self.live_button.description = "Rotate"
        if self in _live:
            _live.remove(self)

    def close(self) -> None:
        """Close the widget and its viewer."""
        self.sleep()
        super().close()

    def picture(self) -> bytes | None:
        """Return the present frame as PNG."""
        return getattr(self, "_drawn", None)


def view(
    x: Atoms | Sequence[Atoms] | AtomsDataset | str | Path,
    *,
    forces: str | None = None,
    model: Any = None,
    color: Any = None,
    color_label: str = "",
) -> StructureView | W.HTML:
    """Show a structure, a list, a file or a dataset.

    Parameters
    ----------
    x
        What to show; ten thousand frames are as quick as one, as each is read when it is shown.
    forces
        Force arrows: ``"label"``, ``"prediction"`` or ``"difference"``; 1 Å for 1 eV/Å.
    model
        Predicts where arrows or colours need it.
    color
        Per-atom values that colour the atoms, (n,); a callable gives them by frame number;
        ``"force_error"`` is the norm of the difference of forces in meV/Å, for which `model` is needed.
    color_label
        What the values are, with their unit.

    Returns
    -------
    ipywidgets.DOMWidget
        The view, or a message where a file cannot be read.
    """
    try:
        frames = open_structures(x)
    except MatterTuneError as exc:
        return W.HTML(f'<div role="alert">{html.escape(str(exc))}</div>')
    predict = None if model is None else (lambda atoms: _predicted_forces(model, atoms))
    values: Callable[[int], NDArray[np.float64]] | None = None
    if isinstance(color, str):
        values, color_label = _force_errors(frames, model), color_label or "force error (meV/Å)"
    elif callable(color):
        values = color
    elif color is not None:
        array = np.asarray(color)
        values = partial(_same, array)
    return StructureView(
        frames, forces=forces, predict=predict, color=values, color_label=color_label
    )


def _force_errors(frames: AtomsDataset, model: Any) -> Callable[[int], NDArray[np.float64]]:
    def errors(index: int) -> NDArray[np.float64]:
        label = np.asarray(frames.labels(index, {"forces": "error"})["forces"])
        norms: NDArray[np.float64] = 1000 * np.linalg.norm(
            _predicted_forces(model, frames[index]) - label, axis=1
        )
        return norms

    return errors


def _same(values: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return values


def open_structures(x: Atoms | Sequence[Atoms] | AtomsDataset | str | Path) -> AtomsDataset:
    """Return anything that holds structures as a dataset.

    Raises
    ------
    DataError
        Where a file cannot be read.
    """
    if isinstance(x, Atoms):
        return as_dataset([x])
    if isinstance(x, (str, Path)):
        return XYZDatasetConfig(src=Path(x)).create_dataset()
    return as_dataset(x)


def _predicted_forces(model: Any, atoms: Atoms) -> NDArray[np.float64]:
    (result,) = model.property_predictor().predict([atoms], ["forces"])
    forces: NDArray[np.float64] = result["forces"]
    return forces


def draw_structure(
    atoms: Atoms,
    arrows: NDArray[np.float64] | None = None,
    values: NDArray[np.float64] | None = None,
    label: str = "",
) -> bytes:
    """Draw a structure as PNG, with force arrows (eV/Å) and a colour scale where given."""
    figure, (ax,) = new_figure(1, 1, 4.6 if values is not None else 4.0, 3.4)
    colors = None
    if values is not None:
        import matplotlib as mpl

        norm = mpl.colors.Normalize(0, max(float(values.max()), 1e-9))
        scale = mpl.cm.ScalarMappable(norm, mpl.colormaps["viridis"])
        colors = scale.to_rgba(values)[:, :3]
        figure.colorbar(scale, ax=ax, label=label, shrink=0.8)
    plot_atoms(atoms, ax, rotation=_ROTATION, colors=colors)
    if arrows is not None and len(atoms):
        _draw_arrows(ax, atoms, arrows)
    ax.set_axis_off()
    return png(figure)


def _draw_arrows(ax: Any, atoms: Atoms, arrows: NDArray[np.float64]) -> None:
    from ase.io.utils import PlottingVariables
    from ase.utils import rotate

    rotation = rotate(_ROTATION)
    variables = PlottingVariables(atoms, rotation=_ROTATION, scale=1)
    starts = np.asarray(variables.positions)[: len(atoms), :2]
    ends = _ARROW * (arrows @ rotation)[:, :2]
    ax.quiver(
        starts[:, 0], starts[:, 1], ends[:, 0], ends[:, 1],
        angles="xy", scale_units="xy", scale=1, color="#d9534f", width=0.006, zorder=1e6,
    )  # fmt: skip


def _legend(atoms: Atoms) -> str:
    parts = []
    for number in sorted(set(atoms.numbers.tolist())):
        red, green, blue = (int(255 * c) for c in jmol_colors[number])
        parts.append(
            f'<span style="background:rgb({red},{green},{blue});border:1px solid #888;border-radius:50%;'
            f'display:inline-block;width:10px;height:10px"></span> {chemical_symbols[number]}'
        )
    return " ".join(parts)
