"""The controls of a structure view: frame, colours, arrows, supercell and axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from ipywidgets.widgets.widget_description import DescriptionStyle

from mattertune_nb.widgets.page.controls import shared
from mattertune_nb.widgets.views.full_screen import FullScreenButton

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOX = "mt-structure"
"""CSS class of the box shown in full screen."""

ARROWS = {
    "no arrows": "",
    "label": "label",
    "prediction": "prediction",
    "difference": "difference",
}
_PLAY_MS = 250
STYLE = f"""<style>
.{BOX} .mt-canvas {{ overflow: hidden; position: relative; }}
.{BOX} .mt-canvas > * {{ width: 100%; margin: 0; }}
.{BOX}:fullscreen {{ background: var(--jp-layout-color0, white); padding: 12px; max-width: none; }}
.{BOX}:fullscreen > .mt-canvas {{ height: auto !important; flex: 1 1 auto; min-height: 0; }}
.mt-canvas .nglview-container {{ border: none; }}
</style>"""


class StructureControls(W.VBox):  # type: ignore[misc]
    """Everything above the structure; reports the user's changes to its owner.

    Parameters
    ----------
    with_prediction
        Whether there is a model to predict forces.
    """

    def __init__(self, *, with_prediction: bool) -> None:
        self._moving = False
        self.play, self.slider = _player()
        # in the page, so that playing waits for no message
        self._link = W.jslink((self.play, "value"), (self.slider, "value"))
        choices = ["no arrows", "label"] + ["prediction", "difference"] * with_prediction
        self.color = _dropdown("colour", "What colours the atoms", width="190px")
        self.arrows = _dropdown(
            "force",
            "Force arrows: of the labels, of the prediction, or prediction - label",
            width="150px",
            options=[(text, ARROWS[text]) for text in choices],
        )
        self.cells = [
            _dropdown(name, f"Cells along {name}", width=width, options=[1, 2, 3])
            for name, width in (("cells a", "106px"), ("b", "64px"), ("c", "64px"))
        ]
        self.axes = W.ToggleButton(
            value=True,
            description="Axes",
            tooltip="Show the axes a, b and c of the cell",
            layout=shared(W.Layout, width="auto"),
        )
        self.live_button = W.Button(
            tooltip="Switch between a live, rotatable viewer and a picture",
            layout=shared(W.Layout, width="92px"),
        )
        self.full_screen = FullScreenButton(box=BOX, layout=shared(W.Layout, width="auto"))
        self._frame_row = W.HBox([self.play, self.slider], layout=shared(W.Layout, width="100%"))
        self._of_cell = [*self.cells, self.axes]
        choices_row = W.HBox(
            [self.color, self.arrows, *self._of_cell, self.live_button, self.full_screen],
            layout=shared(W.Layout, flex_flow="row wrap", width="100%"),
        )
        super().__init__(
            [self._frame_row, choices_row], layout=shared(W.Layout, width="100%", flex="0 0 auto")
        )

    def on_frame(self, changed: Callable[[int], None]) -> None:
        """Call a function with the frame that the user has moved to."""

        def moved(change: Any) -> None:
            if not self._moving:
                changed(change["new"])

        self.slider.observe(moved, "value")

    def on_choice(self, changed: Callable[[], None]) -> None:
        """Call a function when the user has changed colours, arrows, cells or axes."""
        for control in (self.color, self.arrows, *self._of_cell):
            control.observe(lambda _: None if self._moving else changed(), "value")

    def set_frames(self, n: int) -> None:
        """Set the number of frames of the slider."""
        last = max(n - 1, 1)
        self._set(self.play, max=last)
        self._set(self.slider, max=last)
        self._frame_row.layout = shared(W.Layout, width="100%", display=None if n > 1 else "none")

    def set_frame(self, index: int) -> None:
        """Move the slider without reporting it as the user's change."""
        self._set(self.slider, value=index)

    def set_colors(self, options: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer the values that can colour the atoms: titles and names."""
        if list(self.color.options) != list(options):
            self._set(self.color, options=list(options))
        self._set(self.color, value=chosen)

    def set_periodic(self, periodic: bool) -> None:
        """Show the cell's controls only if there is a cell."""
        for control in self._of_cell:
            width = control.layout.width
            hidden = None if periodic else "none"
            control.layout = shared(W.Layout, width=width, display=hidden)

    def set_live(self, live: bool, *, possible: bool = True) -> None:
        """Label the button that switches between viewer and picture."""
        self.live_button.description = "Picture" if live else "Rotate"
        self.live_button.icon = "image" if live else "cube"
        self.live_button.layout = shared(
            W.Layout, width="92px", display=None if possible else "none"
        )

    @property
    def repeats(self) -> tuple[int, int, int]:
        """Number of repeats of the cell along a, b and c."""
        a, b, c = (control.value for control in self.cells)
        return a, b, c

    def close(self) -> None:
        """Close the controls and their links."""
        self._link.close()
        super().close()

    def _set(self, control: Any, **traits: Any) -> None:
        self._moving = True
        for name, value in traits.items():
            setattr(control, name, value)
        self._moving = False


def _player() -> tuple[W.Play, W.IntSlider]:
    play = W.Play(
        value=0, min=0, max=1, interval=_PLAY_MS, tooltip="Play the frames", show_repeat=False
    )
    slider = W.IntSlider(
        0, 0, 1,
        description="frame",
        continuous_update=False,
        style=shared(W.SliderStyle, description_width="auto"),
        layout=shared(W.Layout, flex="1 1 auto", width="auto", min_width="160px"),
    )  # fmt: skip
    return play, slider


def _dropdown(description: str, tooltip: str, *, width: str, options: Any = ()) -> W.Dropdown:
    return W.Dropdown(
        options=list(options),
        description=description,
        tooltip=tooltip,
        style=shared(DescriptionStyle, description_width="auto"),
        layout=shared(W.Layout, width=width),
    )
