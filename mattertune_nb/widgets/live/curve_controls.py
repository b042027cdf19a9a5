"""Controls for the curves: horizontal axis, linear or logarithmic, smoothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.widgets.live.scales import Scales
from mattertune_nb.widgets.page.controls import shared

if TYPE_CHECKING:
    from collections.abc import Callable


class CurveControls:
    """Two choices and a slider in a row.

    Parameters
    ----------
    on_change
        Called with the current choice.
    """

    def __init__(self, on_change: Callable[[Scales], None]) -> None:
        self._on_change = on_change
        self.along = W.Dropdown(
            options=[("Step", "step"), ("Epoch", "epoch"), ("Wall time", "time")],
            description="x axis",
            layout=shared(W.Layout, width="160px"),
            style={"description_width": "50px"},
        )
        self.log = W.Dropdown(
            options=[("Linear", False), ("Logarithmic", True)],
            description="y axes",
            layout=shared(W.Layout, width="170px"),
            style={"description_width": "50px"},
        )
        self.smoothing = W.FloatSlider(
            0.0,
            min=0.0,
            max=0.95,
            step=0.05,
            description="Smoothing",
            layout=shared(W.Layout, width="270px"),
            style={"description_width": "80px"},
        )
        parts = [self.along, self.log, self.smoothing]
        self.widget = W.HBox(parts, layout=shared(W.Layout, flex_flow="row wrap"))
        for control in parts:
            control.observe(self._changed, "value")

    def _changed(self, change: Any) -> None:
        self._on_change(Scales(self.along.value, self.log.value, self.smoothing.value))
