"""How curves are drawn: horizontal axis, scales, smoothing, and names."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mattertune_nb.config.unbroken import grouped
from mattertune_nb.training.outcome.headlines import title_of
from mattertune_nb.widgets.page.theme import BLUE, GREY, PALETTE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattertune_nb.widgets.live.series import CurveData, Panel, Point

Along = Literal["step", "epoch", "time"]
_NAME_WIDTH = 26


@dataclass(frozen=True)
class Scales:
    """The user's choices for the curves.

    Attributes
    ----------
    along
        Quantity on the horizontal axis.
    log
        Whether the vertical axes are logarithmic.
    smoothing
        Weight of the past in an exponential mean, from 0 (none) to below 1.
    """

    along: Along = "step"
    log: bool = False
    smoothing: float = 0.0

    def x(self, points: NDArray[np.float64], data: CurveData) -> NDArray[np.float64]:
        """Return the positions, (n,), of points of step, epoch, value and seconds, (n, 4).

        Completed steps and epochs are counted, so the first epoch ends at 1.
        """
        steps, epochs, seconds = points[:, 0] + 1, points[:, 1] + 1, points[:, 3]
        if self.along == "step":
            return steps
        if self.along == "epoch":
            length = data.epoch_length()
            return epochs if length is None else steps / length
        return np.asarray(seconds / _time_unit(data)[0])

    def x_title(self, data: CurveData) -> str:
        """Return the title of the horizontal axis."""
        if self.along == "step":
            length = data.steps_per_epoch
            return f"step (epoch = {length} steps)" if length else "step"
        return "epoch" if self.along == "epoch" else f"wall time ({_time_unit(data)[1]})"

    def x_hover(self, data: CurveData) -> str:
        """Return the text for the position of the mouse, in plotly's notation."""
        name, unit = (
            ("wall time", _time_unit(data)[1]) if self.along == "time" else (self.along, "")
        )
        return f"{name} %{{x:.4~g}} {unit}".rstrip()

    def is_log(self, panel: Panel) -> bool:
        """Return whether a panel's axis is logarithmic: not if a value is negative or a line is zero."""
        lowest = [s.array()[:, 2].min() for s in panel.series.values() if len(s)]
        return self.log and min(lowest, default=0.0) >= 0 and 0 not in panel.lines.values()

    def smooths(self, panel: Panel) -> bool:
        """Return whether a panel's curves are smoothed; schedules, which do not scatter, are not."""
        return self.smoothing > 0 and panel.title != "learning rate"


def _time_unit(data: CurveData) -> tuple[float, str]:
    """Return the seconds in a suitable unit of time for a run, and the unit's name."""
    if data.seconds < 180:
        return 1.0, "s"
    return (60.0, "min") if data.seconds < 3 * 3600 else (3600.0, "h")


def smoothed(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return the exponential mean of values, (n,), in which each earlier value counts `weight` times less.

    The first values are not biased towards zero.
    """
    from scipy.signal import lfilter

    summed = lfilter([1 - weight], [1, -weight], values)
    return np.asarray(summed / (1 - weight ** np.arange(1, len(values) + 1)))


def panel_colors(panel: Panel) -> dict[str, str]:
    """Return the colours of a panel's curves: grey for training, blue for validation, then others."""
    colors: dict[str, str] = {}
    for name in panel.series:
        stage = GREY if name.startswith("train") else BLUE
        own = stage if name.startswith(("train", "val")) else PALETTE[0]
        free = (color for color in (own, *PALETTE[1:]) if color not in colors.values())
        colors[name] = next(free, own)
    return colors


def curve_label(name: str, value: float) -> str:
    """Return the name of a curve with its last value."""
    return line_label(title_of(name), value)


def line_label(name: str, value: float) -> str:
    """Return the name of a line with its value."""
    words = f"{name} {value:.3g}"
    return "<br>".join(textwrap.wrap(words, _NAME_WIDTH, break_on_hyphens=False))


def best_label(panel: Panel, best: Point) -> str:
    """Return the meaning of a star: the best value of a metric, and its epoch, counted from 1."""
    return f"best {title_of(panel.best_of)} {best.value:.3g},<br>epoch {best.epoch + 1:.0f}"


def off_scale_label(panel: Panel) -> str:
    """Return the lines that are too high to be drawn, as text; empty if there are none."""
    lines = panel.off_scale().items()
    return "<br>".join(f"{name} {grouped(value)} (off scale)" for name, value in lines)


def kept_label(data: CurveData) -> str:
    """Return which weights are kept; empty if no monitor selects them."""
    if data.kept is None:
        return ""
    return f"weights kept: epoch {data.kept.epoch + 1:.0f}, best {title_of(data.monitor or '')}"


def title_text(panel: Panel, data: CurveData) -> str:
    """Return the heading of a panel."""
    unit = f" ({panel.unit})" if panel.unit else ""
    left_out = data.n_left_out() if panel is data.ordered()[-1] else 0
    rest = f"<br>{left_out} further metrics not shown" if left_out else ""
    return f"<b>{panel.title}</b>{unit}{rest}"
