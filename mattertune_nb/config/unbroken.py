"""Typography of numbers that people read: kept on one line with their unit, with a true minus sign."""

from __future__ import annotations

import re

_UNITS = r"[mk]?eV|Å³?|[kMGT]?B|GPa|K|ps|fs|ms|s|min|h|%|×"
_QUANTITY = re.compile(rf"(?<=\d) ((?:{_UNITS})(?:/(?:Å³?|atom|ps))*)(?![A-Za-z])")
_EXPONENT = re.compile(r"(?<=\de)-(?=\d+\u00a0)")


def unbroken(text: str) -> str:
    """Return text in which no line breaks between a number and its unit, within a unit or at an exponent.

    Meant for text on a page; logs and files keep plain spaces.
    """
    # a unit alone is left as it is: it may be the value of a setting, which people copy
    joined = _QUANTITY.sub(lambda found: "\u00a0" + found[1].replace("/", "/\u2060"), text)
    return _EXPONENT.sub("−", joined)


def grouped(value: float) -> str:
    """Return a number without decimals, its thousands separated by narrow spaces."""
    return f"{value:,.0f}".replace(",", "\u202f")


def with_minus(numbers: str) -> str:
    """Return numbers as text with minus signs in place of hyphens."""
    return numbers.replace("-", "−")
