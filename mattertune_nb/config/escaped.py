"""Text from files and people, made harmless for terminals and pages."""

from __future__ import annotations

import html

_SPACES = "\u00a0\u202f\u2060"
"""Spaces that join a number and its unit; no terminal is steered by them."""


def printable(text: str, keep: str = "") -> str:
    """Return a text with control characters and line breaks escaped, except for those in `keep`."""
    return "".join(
        c
        if c.isprintable() or c in keep or c in _SPACES
        else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


def escaped(text: str) -> str:
    """Return a text as HTML that shows it literally, also what would steer a terminal; its lines are kept."""
    return html.escape(printable(text, keep="\n\t"))
