"""nglview, which receives the scene in one message and draws it when its page responds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from IPython.utils.capture import capture_output
from ipywidgets.widgets.widget import _instances
from ipywidgets.widgets.widget_link import Link
from matplotlib.colors import to_rgb

from mattertune_nb.widgets.page.lifetime import parts
from mattertune_nb.widgets.page.theme import INK
from mattertune_nb.widgets.views.scene import AXIS_COLORS, MARK_COLOR

# nglview displays its colour registry on import, in whatever cell that happens
with capture_output(stdout=False, stderr=False):
    import nglview

if TYPE_CHECKING:
    from mattertune_nb.widgets.views.scene import Scene

_DRAW = Path(__file__).with_name("nglview.js").read_text(encoding="utf-8")
_DISPOSE = (
    "if (this.stage) { this.stage.viewer.renderer.forceContextLoss(); this.stage.dispose(); }"
)


class _Widget(nglview.NGLWidget):  # type: ignore[misc]
    """An nglview that needs no thread, and sends its contents to each page that asks."""

    def __init__(self) -> None:
        self.code = ""
        super().__init__()
        self.layout.width = self.layout.height = "100%"

    def _initialize_threads(self) -> None:
        self.on_msg(self._handle_nglview_custom_msg)

    def _handle_nglview_custom_msg(self, _: Any, content: Any, buffers: Any) -> None:
        if content.get("type") == "request_loaded":
            self.tell(self.code)

    def tell(self, code: str) -> None:
        """Run JavaScript in each view of the widget on a page, where ``this`` is the view."""
        self.send(
            {
                "type": "call_method",
                "target": "Widget",
                "methodName": "executeCode",
                "reconstruc_color_scheme": False,
                "args": [code],
                "kwargs": {},
            }
        )


class NGLViewer:
    """Structures in nglview."""

    def __init__(self) -> None:
        self.widget = _Widget()

    def fill(self, scene: Scene, *, center: bool, dark: bool = False) -> None:
        """Draw a scene in place of the current one, in the page's colours whatever `dark` says."""
        content = json.dumps(_plain(scene))
        draw = f"const draw = {_DRAW}; draw(this, NGL, {content}, "
        # a page opened later shows all of it
        self.widget.code = f"{draw}true);"
        self.widget.tell(f"{draw}{json.dumps(center)});")

    def dispose(self) -> None:
        """Release the WebGL context, and close the widget and its parts."""
        self.widget.tell(_DISPOSE)
        own = [*parts(self.widget), *parts(self.widget._widget_image)]
        links = [
            widget
            for widget in list(_instances.values())
            if isinstance(widget, Link) and {widget.source[0], widget.target[0]} & set(own)
        ]
        for part in [*links, *own]:
            part.close()


def _plain(scene: Scene) -> dict[str, Any]:
    """Return a scene in the form read by the script in the page."""

    def rounded(values: Any) -> Any:
        return np.round(np.asarray(values, float), 3).tolist()

    return {
        "positions": rounded(scene.positions),
        "radii": rounded(scene.radii),
        "colors": rounded(scene.colors),
        "names": scene.names,
        "bonds": scene.bonds.tolist(),
        "edges": rounded(scene.edges),
        "edgeColor": to_rgb(INK),
        "axes": [
            [name, to_rgb(AXIS_COLORS[name]), rounded(start), rounded(end)]
            for name, start, end in scene.axes
        ],
        "arrows": rounded(scene.arrows),
        "marked": scene.marked,
        "markColor": to_rgb(MARK_COLOR),
    }
