"""Python slices written as text."""

from __future__ import annotations

import re


def read_slice(text: str) -> slice:
    """Return the slice described by a text such as ``"10:100:2"``.

    Raises
    ------
    ValueError
        The text does not describe a slice.
    """
    if not re.fullmatch(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?[1-9]\d*)?\s*)?", text):
        msg = f"expected a slice such as ':', ':100' or '::10', got '{text}'"
        raise ValueError(msg)
    return slice(*(int(part) if part.strip() else None for part in text.split(":")))
