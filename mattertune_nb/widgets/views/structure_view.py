"""Structures inline: a live viewer where there is a front end, a still picture everywhere."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.data.labels import stored_values
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end
from mattertune_nb.widgets.page.picture import Message, Pictured
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.views import live_viewer
from mattertune_nb.widgets.views.clickable import ClickablePicture
from mattertune_nb.widgets.views.structure_picture import (
    Shown,
    atom_name,
    draw_structure,
    legend_html,
    refuse_empty,
    scale_html,
)
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ase import Atoms
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.data.datasets import AtomsDataset
    from mattertune_nb.widgets.page.export import Table

_WIDTH, _HEIGHT = "440px", "340px"
_NEED_MODEL = ("prediction", "difference", "force_error")
_ARROWS = {
    "no arrows": None,
    "label": "label",
    "prediction": "prediction",
    "difference": "difference",
}


class StructureView(Pictured, W.VBox):  # type: ignore[misc]
    """Frames with a slider in a live nglview; the oldest of many views fall asleep to pictures.

    A click on a picture makes it live again.

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
        self.frames, self._predict = frames, predict
        self._color, self._color_label = color, color_label
        self._predicted: tuple[int, NDArray[np.float64]] | None = None
        self.frame_shown: Shown | None = None
        self.viewer: Any = None
        self._moving = False
        self.slider = W.IntSlider(
            0, 0, 1, description="frame", continuous_update=False, layout=W.Layout(width="270px")
        )
        choices = ["no arrows", "label"] + ["prediction", "difference"] * (predict is not None)
        self.arrows = W.Dropdown(
            options=[(text, _ARROWS[text] or "") for text in choices],
            value=forces if forces in choices else "",
            description="force",
            tooltip="Force arrows: of the labels, of the prediction, or prediction - label",
            style={"description_width": "auto"},
            layout=W.Layout(width="150px"),
        )
        self.live_button = W.Button(
            tooltip="Change between a live viewer that can be turned and a picture",
            layout=W.Layout(width="92px"),
        )
        self.image = ClickablePicture(self.wake)
        self._place = W.VBox()
        self._caption = W.HTML()
        self.slider.observe(self._on_slider, "value")
        self.arrows.observe(lambda _: self.show(self.slider.value, self._marked), "value")
        self.live_button.on_click(lambda _: self.wake() if self.viewer is None else self.sleep())
        controls = W.HBox([self.slider, self.arrows, self.live_button])
        controls.layout.flex_flow = "row wrap"
        super().__init__(
            [controls, self._caption, self._place], layout=W.Layout(width="536px", max_width="100%")
        )
        self.sleep()
        self._fit_slider()
        self.show(0)
        if has_front_end() and self.frame_shown is not None:
            self.wake()

    def show_frames(self, frames: AtomsDataset, index: int = 0) -> None:
        """Show other structures in the same viewer."""
        self.frames, self._predicted = frames, None
        self._fit_slider()
        self.show(index)

    def _fit_slider(self) -> None:
        last = len(self.frames) - 1
        self._move_slider(max=max(last, 1))
        self.slider.layout.display = None if last else "none"

    def _move_slider(self, **traits: int) -> None:
        """Set the slider, which nobody has moved then."""
        self._moving = True
        for name, value in traits.items():
            setattr(self.slider, name, value)
        self._moving = False

    def _on_slider(self, change: Any) -> None:
        if not self._moving:
            self.show(change["new"])

    def show(self, index: int, atom: int | None = None) -> None:
        """Show a frame, and mark one of its atoms.

        What cannot be read becomes a message, and the last picture stays.
        """
        try:
            atoms = self.frames[index]
            refuse_empty(atoms, self.frames.source(index))
            arrows, note = self._arrows_of(index, atoms)
            values = None if self._color is None else np.asarray(self._color(index), float)
            if values is not None and values.shape != (len(atoms),):
                msg = f"colours: {values.shape} values for {len(atoms)} atoms; give one an atom."
                raise DataError(msg)
        except MatterTuneError as exc:
            self._caption.value = f'<div role="alert">{html.escape(str(exc))}</div>'
            return
        before = self.frame_shown
        self.frame_shown = Shown(atoms, arrows, values, self._color_label, atom)
        self._drawn: Figure | None = None
        facts = [
            html.escape(self.frames.source(index).rsplit("/", 1)[-1]),
            f"{atoms.get_chemical_formula()}, {len(atoms)} atoms {legend_html(atoms)}",
            scale_html(self.frame_shown),
            note,
            "" if atom is None else f"marked: {atom_name(atoms, atom)}",
        ]
        self._caption.value = (
            f'<div style="line-height:1.5">{" · ".join(fact for fact in facts if fact)}</div>'
        )
        self._move_slider(value=index)
        if self.viewer is not None:
            same = before is not None and np.array_equal(before.atoms.numbers, atoms.numbers)
            live_viewer.fill(self.viewer, self.frame_shown, center=not same)
        elif has_front_end():
            self.image.value = self.picture() or b""

    @property
    def _marked(self) -> int | None:
        return None if self.frame_shown is None else self.frame_shown.marked

    def _arrows_of(self, index: int, atoms: Atoms) -> tuple[NDArray[np.float64] | None, str]:
        """Return the arrows that are asked for and a note about them."""
        wanted = self.arrows.value
        if not wanted:
            return None, ""
        label = self.frames.labels(index, {"forces": "mask"}).get("forces")
        if wanted != "prediction" and label is None:
            return None, "no arrows: the frame has no forces"
        forces = np.zeros((len(atoms), 3)) if label is None else np.asarray(label)
        if wanted != "label":
            predicted = self._prediction(index, atoms)
            forces = predicted if wanted == "prediction" else predicted - forces
        longest = 1000 * float(np.linalg.norm(forces, axis=1).max(initial=0))
        what = {"label": "force", "prediction": "predicted force", "difference": "force error"}
        return forces, f"arrows: {what[wanted]}, the longest {number(longest)} meV/Å"

    def _prediction(self, index: int, atoms: Atoms) -> NDArray[np.float64]:
        if self._predicted is None or self._predicted[0] != index:
            assert self._predict is not None
            self._predicted = index, self._predict(atoms)
        return self._predicted[1]

    def wake(self) -> None:
        """Change from the picture to the live viewer; the oldest of too many falls asleep."""
        if self.viewer is not None or self.frame_shown is None:
            return
        self.viewer = live_viewer.new_viewer(_WIDTH, _HEIGHT)
        live_viewer.fill(self.viewer, self.frame_shown, center=True)
        self._place.children = [self.viewer]
        self.live_button.description, self.live_button.icon = "Picture", "image"
        live_viewer.stay_awake(self)

    def sleep(self) -> None:
        """Give the WebGL context back and show the picture."""
        viewer, self.viewer = self.viewer, None
        if self in live_viewer.awake:
            live_viewer.awake.remove(self)
        self.live_button.description, self.live_button.icon = "Rotate", "cube"
        self.image.label = "Click to turn this structure in a live viewer"
        if self.frame_shown is not None:
            self.image.value = self.picture() or b""
        self._place.children = [self.image]
        if viewer is not None:
            viewer.dispose()

    def close(self) -> None:
        """Close the widget and its viewer."""
        self.sleep()
        super().close()

    def draw(self) -> Figure | None:
        """Return the present frame as a matplotlib figure."""
        if self.frame_shown is not None and self._drawn is None:
            self._drawn = draw_structure(self.frame_shown)
        return None if self.frame_shown is None else self._drawn

    def numbers(self) -> Table | None:
        """Return the atoms of the present frame with their positions, arrows and colours."""
        return None if self.frame_shown is None else self.frame_shown.numbers()


def view(
    x: Atoms | Sequence[Atoms] | AtomsDataset | str | Path | Any,
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
        Force arrows: ``"label"``, ``"prediction"`` or ``"difference"`` (prediction - label); they can
        be changed in the view.
    model
        Predicts where arrows or colours need it.
    color
        Per-atom values that colour the atoms: (n,) numbers, a function of the frame's number that
        returns them, or a name: ``"force_error"`` (for which `model` is needed) and ``"force"`` are
        norms in meV/Å, any other is looked for among the frame's own arrays, e.g. ``"magmoms"``.
    color_label
        What the values are, with their unit.

    Returns
    -------
    ipywidgets.DOMWidget
        The view, or a message where a file cannot be read or something is missing.
    """
    try:
        frames = open_structures(x)
        refuse_empty(frames.frame(0), frames.source(0))
        for name, value in (("forces", forces), ("color", color)):
            needs_model = isinstance(value, str) and value in _NEED_MODEL
            if needs_model and model is None:
                msg = f"{name}='{value}' needs a model: view(x, {name}='{value}', model=...)."
                raise DataError(msg)
        if forces is not None and forces not in _ARROWS.values():
            msg = f"forces: '{forces}' is unknown. Allowed: label, prediction, difference."
            raise DataError(msg)
        values: Callable[[int], NDArray[np.float64]] | None = None
        if isinstance(color, str):
            values = partial(_named_values, frames, color, model)
            values(0)
            named = {"force_error": "force error (meV/Å)", "force": "force (meV/Å)"}
            color_label = color_label or named.get(color, color)
        elif callable(color):
            values = color
        elif color is not None:
            values = partial(_same, np.asarray(color))
    except MatterTuneError as exc:
        return Message(str(exc))
    predict = None if model is None else partial(predicted_forces, model)
    return StructureView(
        frames, forces=forces, predict=predict, color=values, color_label=color_label
    )


def _named_values(frames: AtomsDataset, name: str, model: Any, index: int) -> NDArray[np.float64]:
    """Return the per-atom values of a name, (n,); the norm of vectors."""
    if name in ("force", "force_error"):
        forces = np.asarray(frames.labels(index, {"forces": "error"})["forces"])
        if name == "force_error":
            forces = predicted_forces(model, frames[index]) - forces
        norms: NDArray[np.float64] = 1000 * np.linalg.norm(forces, axis=1)
        return norms
    n = len(frames.frame(index))
    stored = {key: np.asarray(value) for key, value in stored_values(frames.frame(index)).items()}
    fitting = [k for k, v in stored.items() if v.shape[:1] == (n,) and v.dtype.kind in "iuf"]
    if name not in fitting:
        found = ", ".join(fitting) or "none"
        msg = f"{frames.source(index)}: no per-atom values '{name}'. Found: {found}."
        raise DataError(msg)
    values = stored[name].reshape(n, -1).astype(float)
    return values[:, 0] if values.shape[1] == 1 else np.linalg.norm(values, axis=1)


def _same(values: NDArray[np.float64], _: int) -> NDArray[np.float64]:
    return values


def predicted_forces(model: Any, atoms: Atoms) -> NDArray[np.float64]:
    """Return the forces that a model predicts, (n, 3) in eV/Å."""
    (result,) = model.property_predictor().predict([atoms], ["forces"])
    forces: NDArray[np.float64] = result["forces"]
    return forces
