"""weas-widget, whose front end ships in its wheel: for pages that load no JupyterLab extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex
from scipy.spatial.transform import Rotation
from weas_widget.base_widget import BaseWidget

from mattertune_nb.widgets.page.lifetime import parts
from mattertune_nb.widgets.page.theme import INK
from mattertune_nb.widgets.views.scene import AXIS_COLORS, MARK_COLOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.widgets.views.scene import Scene

_PAPER = {False: "#ffffff", True: "#111111"}
_ARROWS = {False: "#1a1a1a", True: "#e0e0e0"}
_NO_ATOMS: dict[str, Any] = {
    "species": {},
    "cell": [0.0] * 9,
    "positions": [],
    "symbols": [],
    "attributes": {"atom": {}, "species": {}},
    "pbc": [False] * 3,
}
# the buttons and menus of weas edit a structure, which is not wanted here
_NO_GUI = {"controls": {"enabled": False}, "buttons": {"enabled": False}}


class WeasViewer:
    """Structures in weas-widget, drawn as simple shapes so that both viewers show the same."""

    def __init__(self) -> None:
        self.widget = BaseWidget(
            atoms=_NO_ATOMS,
            guiConfig=_NO_GUI,
            viewerStyle={"width": "100%", "height": "100%"},
            logLevel="warn",
            cellSettings={"showCell": False, "showAxes": False},
        )
        self.widget.layout.width = self.widget.layout.height = "100%"

    def fill(self, scene: Scene, *, center: bool, dark: bool = False) -> None:
        """Draw a scene in place of the current one."""
        self.widget.instancedMeshPrimitive = _meshes(scene, _ARROWS[dark])
        self.widget.text = [
            {
                "positions": [(end * (1 + 0.5 / np.linalg.norm(end))).tolist()],
                "texts": [name],
                "color": AXIS_COLORS[name],
                "fontSize": "16px",
                "className": "text-label",
            }
            for name, _, end in scene.axes
        ]
        self.widget.send_js_task(
            {"name": "avr.applyState", "args": [{"backgroundColor": _PAPER[dark]}]}
        )
        if center:
            low, high = scene.positions.min(axis=0), scene.positions.max(axis=0)
            self.widget.cameraSetting = {
                "lookAt": ((low + high) / 2).tolist(),
                "direction": [0.3, -1.0, 0.35],
                "distance": float(np.linalg.norm(high - low)) + 30,
                "zoom": 1.5,
            }

    def dispose(self) -> None:
        """Close the widget; the page drops its canvas with it."""
        for part in parts(self.widget):
            part.close()


def _meshes(scene: Scene, arrow_color: str) -> list[dict[str, Any]]:
    """Return a scene as shapes of weas: many of one kind in one mesh."""
    colors = [to_hex(color) for color in scene.colors]
    first, second = scene.positions[scene.bonds[:, 0]], scene.positions[scene.bonds[:, 1]]
    middle = (first + second) / 2
    halves = np.stack([np.concatenate([first, middle]), np.concatenate([middle, second])], axis=1)
    half_colors = [colors[i] for i in scene.bonds.T.ravel().tolist()]
    rods = [
        *_rods(halves, 0.1, half_colors),
        *_rods(scene.edges, 0.03, [INK] * len(scene.edges)),
    ]
    axes = np.array([[start, end] for _, start, end in scene.axes]).reshape(-1, 2, 3)
    arrows = np.concatenate([axes, scene.arrows])
    arrow_colors = [AXIS_COLORS[name] for name, _, _ in scene.axes]
    arrow_colors += [arrow_color] * len(scene.arrows)
    heads = _heads(arrows)
    rods += _rods(np.stack([arrows[:, 0], heads[:, 0]], axis=1), 0.09, arrow_colors)
    balls = [
        {"position": position, "scale": [radius] * 3, "color": color}
        for position, radius, color in zip(
            scene.positions.tolist(), scene.radii.tolist(), colors, strict=True
        )
    ]
    ball = {"radius": 1, "widthSegments": 24, "heightSegments": 16}
    rod = {"radiusTop": 1, "radiusBottom": 1, "height": 1, "radialSegments": 12}
    meshes: list[dict[str, Any]] = [
        {"type": "sphere", "shape": ball, "instances": balls},
        {"type": "cylinder", "shape": rod, "instances": rods},
        {
            "type": "cone",
            "shape": {"radius": 1, "height": 1, "radialSegments": 12},
            "instances": _rods(heads, 0.22, arrow_colors),
        },
    ]
    if scene.marked is not None:
        size = 1.6 * float(scene.radii[scene.marked]) + 0.1
        halo = {
            "position": scene.positions[scene.marked].tolist(),
            "scale": [size] * 3,
            "color": MARK_COLOR,
        }
        meshes.append({"type": "sphere", "shape": ball, "instances": [halo], "opacity": 0.45})
    return [mesh for mesh in meshes if mesh["instances"]]


def _heads(arrows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return both ends of the arrowheads, at most 0.5 Å long."""
    vectors = arrows[:, 1] - arrows[:, 0]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    head = np.minimum(0.5, 0.4 * lengths) / lengths * vectors
    return np.stack([arrows[:, 1] - head, arrows[:, 1]], axis=1)


def _rods(ends: NDArray[np.float64], radius: float, colors: list[str]) -> list[dict[str, Any]]:
    """Return cylinders or cones from one end to the other; unrotated they point along y."""
    vectors = ends[:, 1] - ends[:, 0]
    lengths = np.linalg.norm(vectors, axis=1)
    # the rotation from y to a direction; for straight down any perpendicular axis will do
    x, y, z = (vectors / lengths[:, None]).T
    turns = np.stack([z, np.zeros_like(x), -x, 1 + y], axis=1)
    turns[y < -1 + 1e-9] = [1.0, 0.0, 0.0, 0.0]
    rotations = Rotation.from_quat(turns).as_euler("XYZ").tolist() if len(turns) else []
    return [
        {"position": position, "rotation": rotation, "scale": [radius, length, radius], "color": c}
        for position, rotation, length, c in zip(
            ends.mean(axis=1).tolist(), rotations, lengths.tolist(), colors, strict=True
        )
    ]
