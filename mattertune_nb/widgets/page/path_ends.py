"""Fields with a path show its end, where the file name is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as W  # noqa: N812  the usual alias
import traitlets

from mattertune_nb.widgets.page.controls import shared

PATH_FIELD = "mt-path"
"""CSS class of such a field."""


class PathEnds(anywidget.AnyWidget):  # type: ignore[misc]
    """Invisible: scrolls the path fields of the page to their end, and shows the full path as a tooltip."""

    _esm = Path(__file__).with_suffix(".js")

    @traitlets.default("layout")  # type: ignore[untyped-decorator]
    def _layout(self) -> Any:
        return shared(W.Layout)
