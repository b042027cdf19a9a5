"""A few lines in one plot: stored as numbers, drawn as SVG when shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.escaped import escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE = 420, 170, 8, 34, 16
_STYLES: Mapping[str, str] = {
    "labels": "stroke:currentColor;stroke-dasharray:4 3",
    "untuned": "stroke:#8a8f98",
    "tuned": "stroke:#1f77b4",
}
"""Readable on white and on dark grey."""


@dataclass(frozen=True)
class Curves:
    """Lines over common x values.

    Attributes
    ----------
    x_title, y_title
        Titles with units.
    x
        (n,), ascending.
    lines
        (n,) each, by ``untuned``, ``tuned`` or ``labels``.
    """

    x_title: str
    y_title: str
    x: list[float]
    lines: dict[str, list[float]]

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Curves:
        """Create curves from the result of ``dataclasses.asdict``.

        Parameters
        ----------
        data
            The fields.

        Raises
        ------
        ValueError
            Lines have different lengths, or contain something other than numbers.
        """
        x = [float(value) for value in data["x"]]
        lines = {str(k): [float(v) for v in values] for k, values in data["lines"].items()}
        if len(x) < 2 or any(len(values) != len(x) for values in lines.values()):
            msg = "curves of different lengths"
            raise ValueError(msg)
        return cls(str(data["x_title"]), str(data["y_title"]), x, lines)

    def to_svg(self) -> str:
        """Draw the lines with their names; empty if no value is finite."""
        values = np.array(list(self.lines.values()), dtype=float)
        if not np.isfinite(values).any():
            return ""
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scale = (_HEIGHT - _BELOW - _ABOVE) / max(high - low, 1e-12)
        wide = (_WIDTH - 2 * _LEFT) / (self.x[-1] - self.x[0])
        ground = _HEIGHT - _BELOW
        parts = [f'<path d="M{_LEFT} {ground}H{_WIDTH - _LEFT}" stroke="currentColor"/>']
        for k, (name, line) in enumerate(self.lines.items()):
            points = " ".join(
                f"{_LEFT + wide * (x - self.x[0]):.1f},{ground - scale * (y - low):.1f}"
                for x, y in zip(self.x, line, strict=True)
                if np.isfinite(y)
            )
            style = _STYLES.get(name, "stroke:currentColor")
            parts.append(f'<polyline points="{points}" fill="none" style="{style}"/>')
            at = _LEFT + 90 * k
            parts.append(f'<path d="M{at} 8h16" fill="none" style="{style}"/>')
            parts.append(_text(at + 20, 12, name))
        parts += [
            _text(_LEFT, ground + 14, f"{self.x[0]:.3g}"),
            _text(_WIDTH - _LEFT, ground + 14, f"{self.x[-1]:.3g}", "end"),
            _text(_WIDTH / 2, ground + 28, self.x_title, "middle"),
            _text(_WIDTH - _LEFT, 12, f"{self.y_title}, {low:.3g} to {high:.3g}", "end"),
        ]
        label = escaped(f"{self.y_title} against {self.x_title}")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" style="font-size:11px">{"".join(parts)}</svg>'
        )


def _text(x: float, y: float, said: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="currentColor">'
        f"{escaped(said)}</text>"
    )
