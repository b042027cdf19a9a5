"""A full-screen button, which only the page itself can provide, and whether the page is dark."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import anywidget
import traitlets


class FullScreenButton(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows the enclosing box in full screen, until Escape or a second click.

    Attributes
    ----------
    box
        CSS class of the box.
    dark
        Whether the page is dark.
    """

    _esm: ClassVar[Path] = Path(__file__).with_name("full_screen.js")
    box = traitlets.Unicode("").tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)
