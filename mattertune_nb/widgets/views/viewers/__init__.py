"""Live viewers of structures, one file each, behind a common interface.

To add a viewer, add a file and a line in :data:`VIEWERS`.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Protocol

from mattertune_nb.config.errors import ConfigError, MissingExtraError
from mattertune_nb.widgets.page.front_end import loads_extensions

if TYPE_CHECKING:
    import ipywidgets as W  # noqa: N812  the usual alias

    from mattertune_nb.widgets.views.scene import Scene

PICTURE = "picture"
"""The choice if no live viewer is wanted."""

_PACKAGES = {"nglview": "nglview", "weas": "weas_widget"}
_VARIABLE = "MATTERTUNE_NB_VIEWER"


class Viewer(Protocol):
    """A live viewer that draws one scene at a time."""

    widget: W.DOMWidget

    def fill(self, scene: Scene, *, center: bool, dark: bool = False) -> None:
        """Draw a scene in place of the current one.

        Parameters
        ----------
        scene
            What to draw.
        center
            Whether to centre on all of it; otherwise the user's point of view is kept.
        dark
            Whether the page is dark.
        """

    def dispose(self) -> None:
        """Release the WebGL context, and close the widget and its parts."""


def _nglview() -> Viewer:
    from mattertune_nb.widgets.views.viewers.nglview import NGLViewer

    return NGLViewer()


def _weas() -> Viewer:
    from mattertune_nb.widgets.views.viewers.weas import WeasViewer

    return WeasViewer()


VIEWERS = {"nglview": _nglview, "weas": _weas}
"""Factory of each viewer, by name; its package is imported on use."""


def chosen_viewer() -> str:
    """Return the name of the viewer to use: as set by ``MATTERTUNE_NB_VIEWER``, or the one that works here.

    nglview's front end is a JupyterLab extension. If the page loads none, as in VS Code or marimo,
    weas-widget is chosen if it is installed, because it ships its own front end.

    Raises
    ------
    ConfigError
        The requested viewer is unknown.
    MissingExtraError
        It is not installed.
    """
    asked = os.environ.get(_VARIABLE, "").strip().lower()
    if not asked:
        return "weas" if not loads_extensions() and _installed("weas") else "nglview"
    if asked not in (*VIEWERS, PICTURE):
        msg = f"{_VARIABLE}: '{asked}' is unknown. Allowed: {', '.join((*VIEWERS, PICTURE))}."
        raise ConfigError(msg)
    if asked != PICTURE and not _installed(asked):
        msg = f"The viewer '{asked}' is not installed: pip install 'mattertune-nb[{asked}]'."
        raise MissingExtraError(msg)
    return asked


def new_viewer(name: str) -> Viewer:
    """Return an empty viewer."""
    return VIEWERS[name]()


def _installed(name: str) -> bool:
    return importlib.util.find_spec(_PACKAGES[name]) is not None
