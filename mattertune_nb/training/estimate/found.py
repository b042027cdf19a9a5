"""The result of a finder, and a plot of what it tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken

_WIDTH, _HEIGHT = 320, 100


@dataclass(frozen=True)
class Found:
    """The result of a finder.

    Attributes
    ----------
    setting
        Dotted name of the setting.
    tried
        Values tried.
    measured
        Measurement for each.
    quantity
        Measured quantity, with its unit.
    suggestion
        The value to use; ``None`` if there is no clear one.
    note
        The reason, in a sentence.
    """

    setting: str
    tried: list[float]
    measured: list[float]
    quantity: str
    suggestion: float | None
    note: str

    def to_html(self) -> str:
        """Return a plot of the measurement for each value, and the suggestion."""
        return _drawn(self) + f'<div class="mt-note">{escaped(unbroken(self.note))}</div>'

    _repr_html_ = to_html


def _drawn(found: Found) -> str:
    if len(found.tried) < 2:
        return ""
    x, y = np.log10(found.tried), np.array(found.measured)
    low, high = float(y.min()), float(np.percentile(y, 95))
    across = _WIDTH * (x - x[0]) / max(float(np.ptp(x)), 1e-9)
    down = _HEIGHT * (1 - np.clip((y - low) / max(high - low, 1e-9), 0, 1))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    name = found.setting.rpartition(".")[2]
    line = ""
    if found.suggestion is not None:
        at = _WIDTH * (np.log10(found.suggestion) - x[0]) / max(float(np.ptp(x)), 1e-9)
        line = (
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT}" stroke="currentColor" '
            f'stroke-dasharray="4 3"/><text x="{at:.1f}" y="-4" text-anchor="middle">'
            f"{found.suggestion:g}</text>"
        )
    text = f"{found.quantity} against {name}, from {found.tried[0]:.3g} to {found.tried[-1]:.3g}"
    return (
        f'<svg role="img" aria-label="{text}" width="{_WIDTH + 100}" height="{_HEIGHT + 40}" '
        f'viewBox="-70 -16 {_WIDTH + 100} {_HEIGHT + 40}" '
        'style="color:var(--jp-ui-font-color1,#222)"><g font-size="11" fill="currentColor">'
        '<polyline fill="none" stroke="var(--jp-brand-color1,#2f7ed8)" stroke-width="2" '
        f'points="{points}"/>{line}<g text-anchor="end"><text x="-6" y="4">{high:.3g}</text>'
        f'<text x="-6" y="{_HEIGHT + 4}">{low:.3g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 18}">{found.tried[-1]:.3g}</text></g>'
        f'<text x="0" y="{_HEIGHT + 18}">{found.tried[0]:.3g}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 18}" text-anchor="middle">{name}: '
        f"{found.quantity}</text></g></svg>"
    )
