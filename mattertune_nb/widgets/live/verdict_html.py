"""A run's verdict in words and colour."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mattertune_nb.training.outcome.verdict import Verdict

# readable on white and on dark grey, as the tint behind is weak
_BETTER = "#2ca02c", "rgba(44,160,44,.12)"
_WORSE = "#d98000", "rgba(232,131,58,.18)"
_SAME = "#8a8f98", "rgba(128,128,128,.12)"


def verdict_html(verdict: Verdict) -> str:
    """Return the verdict as a line beside a bar of colour, with a mark for who sees none of it."""
    text = str(verdict)
    if not text:
        return ""
    color, tint = _WORSE if verdict.worse else _BETTER if verdict.is_gain else _SAME
    mark = "⚠ " if verdict.worse else "✓ " if verdict.is_gain else ""
    return (
        f'<div role="status" class="mt-verdict" style="border-left:4px solid {color};background:{tint};'
        'padding:4px 10px;line-height:1.4;white-space:normal;overflow-wrap:anywhere">'
        f"{mark}{html.escape(text)}</div>"
    )
