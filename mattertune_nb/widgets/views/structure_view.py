"""Structures inline: a live viewer if there is a front end, a still picture everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import FORCES
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.model.spread import SPREAD
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end
from mattertune_nb.widgets.page.picture import Pictured
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.views.atom_values import (
    FORCE_ERROR,
    FORCE_SPREAD,
    named_values,
    names_in,
    title_of,
)
from mattertune_nb.widgets.views.captions import color_bar_html, legend_html
from mattertune_nb.widgets.views.clickable import ClickablePicture
from mattertune_nb.widgets.views.scene import largest_supercell, scene_of
from mattertune_nb.widgets.views.shown import Shown, atom_name, refuse_empty
from mattertune_nb.widgets.views.structure_controls import BOX, STYLE, StructureControls
from mattertune_nb.widgets.views.structure_picture import draw_structure
from mattertune_nb.widgets.views.viewers import PICTURE, chosen_viewer, new_viewer
from mattertune_nb.widgets.views.viewers.awake import has_fallen_asleep, stay_awake

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.widgets.page.export import Table
    from mattertune_nb.widgets.views.viewers import Viewer

_FORCES_STD = FORCES.name + SPREAD
_ELEMENT, _GIVEN = "element", "given"
_ARROW_WORDS = {"label": "force", "prediction": "predicted force", "difference": "force error"}


class StructureView(Pictured, W.VBox):  # type: ignore[misc]
    """Frames with a slider in a live viewer; if there are too many views, the oldest turn into pictures.

    Clicking a picture makes it live again.

    Parameters
    ----------
    frames
        The structures; each is read when shown.
    forces
        Force arrows: ``"label"``, ``"prediction"``, ``"difference"`` or nothing.
    predict
        Predicts the forces of a structure, (n, 3) in eV/Å, if arrows or colours need them.
    color
        Values of the atoms of a frame, (n,), by frame number; or the name of such values, see
        :func:`~mattertune_nb.widgets.views.atom_values.named_values`, or ``"element"``. By default the force
        error if forces are predicted, otherwise the element.
    color_label
        Title of the values, with their unit.
    height
        Height of the structure alone.
    """

    def __init__(
        self,
        frames: AtomsDataset,
        *,
        forces: str | None = None,
        predict: Callable[[Atoms], NDArray[np.float64]] | None = None,
        color: Callable[[int], NDArray[np.float64]] | str | None = None,
        color_label: str = "",
        height: str = "340px",
    ) -> None:
        enable_colab_widgets()
        self.frames, self._predict = frames, predict
        self._given, self._given_label = color if callable(color) else None, color_label
        self._predicted: tuple[int, NDArray[np.float64]] | None = None
        self._drawn: Figure | None = None
        self.frame_shown: Shown | None = None
        self.viewer: Viewer | None = None
        self._viewer_name, self._viewer_note = _viewer_to_use()
        self.controls = StructureControls(with_prediction=predict is not None)
        self.slider, self.arrows = self.controls.slider, self.controls.arrows
        self.color, self.live_button = self.controls.color, self.controls.live_button
        if forces in [value for _, value in self.arrows.options]:
            self.arrows.value = forces
        self._color_asked = color if isinstance(color, str) else _GIVEN if color else None
        self.image = ClickablePicture(self.wake)
        self._place = W.VBox(layout=W.Layout(height=height, width="100%"))
        self._place.add_class("mt-canvas")
        self._caption, self._color_bar = W.HTML(), W.HTML()
        self.controls.on_frame(self.show)
        self.controls.on_choice(lambda: self.show(self.slider.value, self._marked))
        self.live_button.on_click(lambda _: self.wake() if self.viewer is None else self.sleep())
        self.controls.full_screen.observe(lambda _: self._fill(center=False), "dark")
        super().__init__(
            [W.HTML(STYLE), self.controls, self._caption, self._place, self._color_bar],
            layout=W.Layout(width="100%", max_width="860px"),
        )
        self.add_class(BOX)
        self.sleep()
        self.controls.set_frames(len(frames))
        self.show(0)
        if has_front_end() and self.frame_shown is not None:
            self.wake()

    def show_frames(self, frames: AtomsDataset, index: int = 0) -> None:
        """Show other structures in the same viewer."""
        self.frames, self._predicted = frames, None
        self.controls.set_frames(len(frames))
        self.show(index)

    def show(self, index: int, atom: int | None = None) -> None:
        """Show a frame, and mark one of its atoms.

        If it cannot be read, a message says so, and the last picture stays.
        """
        try:
            atoms = self.frames[index]
            refuse_empty(atoms, self.frames.source(index))
            arrows, note = self._arrows_of(index, atoms)
            values, label, missing = self._values_of(index, len(atoms))
        except MatterTuneError as exc:
            self._caption.value = f'<div role="alert">{escaped(str(exc))}</div>'
            return
        cells = self.controls.repeats if atoms.cell.rank == 3 else (1, 1, 1)
        if np.prod(cells) > largest_supercell(len(atoms)):
            cells, missing = (1, 1, 1), "too many atoms for a supercell"
        before = self.frame_shown
        axes = self.controls.axes.value
        self.frame_shown = Shown(atoms, arrows, values, label, atom, cells, axes)
        self._drawn = None
        self._describe(index, [note, missing])
        self.controls.set_periodic(atoms.cell.rank == 3)
        self.controls.set_frame(index)
        same = (
            before is not None
            and before.cells == cells
            and np.array_equal(before.atoms.numbers, atoms.numbers)
        )
        if self.viewer is not None:
            self._fill(center=not same)
        elif has_front_end():
            self.image.value = self.picture() or b""

    def _describe(self, index: int, notes: list[str]) -> None:
        """Describe what is shown, and the meaning of its colours."""
        shown = self.frame_shown
        assert shown is not None
        atoms = shown.atoms
        facts = [
            escaped(self.frames.source(index).rsplit("/", 1)[-1]),
            f"{atoms.get_chemical_formula()}, {len(atoms)}\u00a0atoms {legend_html(atoms)}",
            *(escaped(unbroken(note)) for note in notes),
            "" if shown.marked is None else f"<b>marked: {atom_name(atoms, shown.marked)}</b>",
            escaped(self._viewer_note),
        ]
        self._caption.value = (
            f'<div style="line-height:1.5">{" · ".join(fact for fact in facts if fact)}</div>'
        )
        self._color_bar.value = color_bar_html(shown)

    @property
    def _marked(self) -> int | None:
        return None if self.frame_shown is None else self.frame_shown.marked

    def _arrows_of(self, index: int, atoms: Atoms) -> tuple[NDArray[np.float64] | None, str]:
        """Return the requested arrows and a note about them."""
        wanted = self.arrows.value
        if not wanted:
            return None, ""
        label = self.frames.labels(index, {FORCES: "mask"}).get(FORCES.name)
        if wanted != "prediction" and label is None:
            return None, "no arrows: the frame has no forces"
        forces = np.zeros((len(atoms), 3)) if label is None else np.asarray(label)
        if wanted != "label":
            predicted = self._prediction(index)
            forces = predicted if wanted == "prediction" else predicted - forces
        longest = FORCES.factor * float(np.linalg.norm(forces, axis=1).max(initial=0))
        return (
            forces,
            f"arrows: {_ARROW_WORDS[wanted]}, the longest {number(longest)} {FORCES.shown_unit}",
        )

    def _values_of(self, index: int, n_atoms: int) -> tuple[NDArray[np.float64] | None, str, str]:
        """Return the values that colour the atoms, their title, and a note if there are none."""
        names = names_in(self.frames, index, with_model=self._predict is not None)
        spread = None
        if isinstance(self._predict, ForcePredictor) and self._predict.has_spread:
            spread = self._predict.spread
            names.insert(names[:1] == [FORCE_ERROR], FORCE_SPREAD)
        options = [(title_of(name).split(" (")[0], name) for name in names]
        options.insert(names[:1] == [FORCE_ERROR], (_ELEMENT, _ELEMENT))
        if self._given is not None:
            options.insert(0, (self._given_label.split(" (")[0] or "given values", _GIVEN))
        first = self._color_asked if self.frame_shown is None else self.color.value
        chosen = first or options[0][1]
        known = [name for _, name in options]
        if chosen not in known:
            # keep the choice for the frames that have the values
            options.append((title_of(chosen).split(" (")[0], chosen))
        self.controls.set_colors(options, chosen)
        if chosen == _ELEMENT:
            return None, "", ""
        if chosen not in known:
            return None, "", f"no {title_of(chosen).split(' (')[0]} in this frame"
        if chosen == FORCE_SPREAD and spread is not None:
            values = FORCES.factor * np.linalg.norm(spread(self.frames[index]), axis=1)
            return values, self._given_label or title_of(chosen), ""
        if chosen != _GIVEN:
            predict = None if self._predict is None else self._prediction
            values = named_values(self.frames, chosen, predict, index)
            return values, self._given_label or title_of(chosen), ""
        assert self._given is not None
        values = np.asarray(self._given(index), float)
        if values.shape != (n_atoms,):
            msg = f"colours: {values.shape} values for {n_atoms} atoms; give one per atom."
            raise DataError(msg)
        return values, self._given_label, ""

    def _prediction(self, index: int) -> NDArray[np.float64]:
        """Return the predicted forces of a frame, (n, 3) in eV/Å; predicted only once."""
        if self._predicted is None or self._predicted[0] != index:
            assert self._predict is not None
            self._predicted = index, self._predict(self.frames[index])
        return self._predicted[1]

    def _fill(self, *, center: bool) -> None:
        if self.viewer is not None and self.frame_shown is not None:
            dark = self.controls.full_screen.dark
            self.viewer.fill(scene_of(self.frame_shown), center=center, dark=dark)

    def wake(self) -> None:
        """Switch from the picture to the live viewer; the oldest of too many turns into a picture."""
        if self.viewer is not None or self.frame_shown is None or self._viewer_name == PICTURE:
            return
        self.viewer = new_viewer(self._viewer_name)
        self._fill(center=True)
        self._place.children = [self.viewer.widget]
        self.controls.set_live(True)
        stay_awake(self)

    def sleep(self) -> None:
        """Release the WebGL context and show the picture."""
        viewer, self.viewer = self.viewer, None
        possible = self._viewer_name != PICTURE
        self.controls.set_live(False, possible=possible)
        self.image.label = "Click to rotate this structure in a live viewer" if possible else ""
        if self.frame_shown is not None:
            self.image.value = self.picture() or b""
        self._put_away(viewer)

    def close(self) -> None:
        """Close the widget and its viewer; no picture is drawn, which Python cannot as it ends."""
        viewer, self.viewer = self.viewer, None
        self._put_away(viewer)
        super().close()

    def _put_away(self, viewer: Viewer | None) -> None:
        has_fallen_asleep(self)
        self._place.children = [self.image]
        if viewer is not None:
            viewer.dispose()

    def draw(self) -> Figure | None:
        """Return the current frame as a matplotlib figure."""
        if self.frame_shown is not None and self._drawn is None:
            self._drawn = draw_structure(self.frame_shown)
        return None if self.frame_shown is None else self._drawn

    def numbers(self) -> Table | None:
        """Return the atoms of the current frame with their positions, arrows and colours."""
        return None if self.frame_shown is None else self.frame_shown.numbers()


def _viewer_to_use() -> tuple[str, str]:
    """Return the viewer's name, and a note if the requested one is not available."""
    try:
        return chosen_viewer(), ""
    except MatterTuneError as exc:
        return PICTURE, str(exc)


class ForcePredictor:
    """Predicts the forces of a structure, (n, 3) in eV/Å, and for an ensemble their spread.

    Parameters
    ----------
    model
        A model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.has_spread = _FORCES_STD in getattr(model, "properties", ())

    def __call__(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return the forces of a structure."""
        return self._predicted(atoms, FORCES.name)

    def spread(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return the spread of each component of the forces."""
        return self._predicted(atoms, _FORCES_STD)

    def _predicted(self, atoms: Atoms, name: str) -> NDArray[np.float64]:
        (result,) = self._model.property_predictor().predict([atoms], [name])
        forces: NDArray[np.float64] = result[name]
        return forces
