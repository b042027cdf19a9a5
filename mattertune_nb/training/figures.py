"""Matplotlib figures, created without pyplot."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

DPI = 80
_DPI_OF_RESULTS = 100


def new_figure(
    rows: int,
    columns: int,
    width: float,
    height: float,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Return a matplotlib figure and its axes in reading order, in inches.

    The background is white with dark ink, because a picture cannot know the theme in which it is viewed.
    """
    # half a second, which a form must not wait for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False, height_ratios=height_ratios).ravel())
    for ax in axes:
        ax.locator_params(axis="x", nbins=5)  # more labels of four digits run into each other
    return figure, axes


def log_axes(ax: Axes, which: str = "xy") -> None:
    """Make axes logarithmic, with ticks labelled 20 or 0.5 rather than as powers of ten."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            is_labelled = bool(super().__call__(x, pos))
            return f"{x:g}" if is_labelled else ""

    for name in which:
        ax.set(**{f"{name}scale": "log"})
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_formatter(Plain())
        axis.set_minor_formatter(Plain(minor_thresholds=(1.5, 0.5)))


def color_bar(points: ScalarMappable, ax: Axes, label: str, shrink: float = 1.0) -> None:
    """Label a colour scale beside a plot, in the plot's own font size."""
    bar = ax.figure.colorbar(points, ax=ax, shrink=shrink)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def picture_html(figure: Figure, alt: str) -> str:
    """Return a figure as an HTML element, with alternative text for those who cannot see it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI_OF_RESULTS)
    image = base64.b64encode(picture.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{image}"/>'
