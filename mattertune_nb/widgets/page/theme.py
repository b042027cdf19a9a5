"""The look of all plots: colours that are readable on white and on JupyterLab's dark grey, and a template."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#7d828a"
GRID = "rgba(128,128,128,0.22)"
CLEAR = "rgba(0,0,0,0)"
BLUE = "#2f7ed8"
GREEN = "#2ca02c"
RED = "#d9534f"
GREY = "#8a8f98"
PALETTE = (BLUE, "#e8833a", "#9467bd", "#17becf", RED, "#8c564b", "#bcbd22", GREEN)
"""Colours that distinguish items such as runs; the last is the colour of the star marking the best."""


@cache
def template() -> go.layout.Template:
    """Return the plotly template of all figures: transparent, so that the page's theme shows through."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "exponentformat": "power",
        "title": {"standoff": 4},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "font": {"color": INK, "size": 12},
            "colorway": list(PALETTE),
            "hovermode": "closest",
            "showlegend": False,
            "modebar": {"orientation": "h", "bgcolor": CLEAR, "color": INK},
            "margin": {"l": 60, "r": 20, "t": 30, "b": 45},
            "xaxis": axis,
            "yaxis": axis,
            "coloraxis": {"colorscale": "Viridis", "colorbar": {"thickness": 12}},
        }
    )
