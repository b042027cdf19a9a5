"""nglview, filled with one structure at a time; a few at a time, as browsers allow no more."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from IPython.utils.capture import capture_output
from ipywidgets.widgets.widget import _instances
from ipywidgets.widgets.widget_link import Link

from mattertune_nb.widgets.page.lifetime import parts
from mattertune_nb.widgets.views.structure_picture import ARROW_COLOR, MARK_COLOR, VIRIDIS

# nglview displays its registry of colours when it is imported, in whatever cell that happens
with capture_output(stdout=False, stderr=False):
    import nglview
    from nglview.remote_thread import RemoteCallThread

if TYPE_CHECKING:
    from mattertune_nb.widgets.views.structure_picture import Shown

MAX_LIVE = 6
"""Live viewers at a time: a browser gives a page some 16 WebGL contexts and takes the oldest away."""

_DISPOSE = (
    "if (this.stage) { this.stage.viewer.renderer.forceContextLoss(); this.stage.dispose(); }"
)


class Sleeper(Protocol):
    """Something that has a live viewer and can do without."""

    def sleep(self) -> None:
        """Give the viewer back."""


awake: deque[Sleeper] = deque()
"""Who has a live viewer, the one that has had it longest first."""


def stay_awake(owner: Sleeper) -> None:
    """Note that `owner` has a live viewer; the oldest of too many is put to sleep."""
    awake.append(owner)
    while len(awake) > MAX_LIVE:
        awake[0].sleep()


class _Calls(RemoteCallThread):  # type: ignore[misc]
    """nglview's thread that talks to the page, which by itself never ends."""

    def run(self) -> None:
        """Send what waits, until told to end."""
        with contextlib.suppress(SystemExit):
            super().run()


class Viewer(nglview.NGLWidget):  # type: ignore[misc]
    """An nglview that leaves nothing behind when it is disposed of."""

    def _initialize_threads(self) -> None:
        self.on_msg(self._handle_nglview_custom_msg)
        waited_for = ["loadFile", "replaceStructure", "_exportImage"]
        self._remote_call_thread = _Calls(self, registered_funcs=waited_for)
        self._remote_call_thread.start()

    def dispose(self) -> None:
        """Give the WebGL context back, end the thread, and close the widget and its parts."""
        self.send(
            self._get_remote_call_msg("executeCode", target="Widget", args=[_DISPOSE], kwargs={})
        )
        self._remote_call_thread.q[:] = [_end_thread]
        # an answer of the page that the thread may wait for will not come any more
        self._event = _Answered()
        own = [*parts(self), *parts(self._widget_image)]
        links = [
            widget
            for widget in list(_instances.values())
            if isinstance(widget, Link) and {widget.source[0], widget.target[0]} & set(own)
        ]
        for part in [*links, *own]:
            part.close()


class _Answered(threading.Event):
    """An event that has come and stays."""

    def is_set(self) -> bool:
        return True


def _end_thread(_: Any) -> None:
    raise SystemExit


def new_viewer(width: str, height: str) -> Viewer:
    """Return an empty viewer."""
    viewer = Viewer()
    viewer.layout.width, viewer.layout.height = width, height
    return viewer


def fill(viewer: Viewer, shown: Shown, *, center: bool) -> None:
    """Show a structure with its cell, colours and arrows in place of what is there."""
    atoms, arrows = shown.atoms.copy(), shown.arrows
    if atoms.pbc.any():
        # the PDB format turns the cell so that a lies along x; the arrows have to turn with it
        cell, turn = atoms.cell.standard_form()
        atoms.set_cell(cell)
        atoms.positions = atoms.positions @ turn.T
        arrows = None if arrows is None else arrows @ turn.T
    coloured: dict[str, Any] = {}
    if shown.values is not None:
        atoms.set_array("bfactor", 99 * shown.fractions())
        coloured = {
            "color_scheme": "bfactor",
            "color_scale": list(VIRIDIS),
            "color_domain": [0, 99],
        }
    # what was sent before is kept for pages to come, and would grow with every frame
    viewer._ngl_msg_archive = []
    viewer._remote_call("removeAllComponents", target="Stage")
    viewer._ngl_component_ids.clear()
    viewer._ngl_component_names.clear()
    text = io.StringIO()
    atoms.write(text, format="proteindatabank")
    component = viewer.add_component(
        nglview.TextStructure(text.getvalue()), default_representation=False
    )
    component.add_representation("ball+stick", aspect_ratio=3, **coloured)
    if atoms.pbc.any():
        component.add_unitcell()
    if arrows is not None and len(arrows):
        rgb = _rgb(ARROW_COLOR)
        ends = atoms.positions + shown.scale * arrows
        lengths = np.linalg.norm(shown.scale * arrows, axis=1)
        visible = np.isfinite(lengths) & (lengths > 0.02)
        pairs = zip(atoms.positions[visible].tolist(), ends[visible].tolist(), strict=True)
        viewer._add_shape([("arrow", start, end, rgb, 0.12) for start, end in pairs], name="forces")
    if shown.marked is not None:
        place = atoms.positions[shown.marked].tolist()
        viewer._add_shape([("sphere", place, _rgb(MARK_COLOR), 0.55)], name="marked atom")
    if center:
        component.center()
        viewer.control.zoom(0.25)


def _rgb(color: str) -> list[float]:
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
