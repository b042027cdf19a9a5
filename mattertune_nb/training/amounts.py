"""Times and sizes in a readable form."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a readable time, to two or three digits, e.g. ``14 min``."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return _digits(seconds / length) + f" {unit}"
    return _digits(seconds) + " s"


def size(n_bytes: int) -> str:
    """Return a readable amount of memory, e.g. ``1.1 GB``."""
    for unit, length in (("TB", 1e12), ("GB", 1e9)):
        if n_bytes >= 0.95 * length:
            return _digits(n_bytes / length) + f" {unit}"
    return _digits(n_bytes / 1e6) + " MB"


def _digits(value: float) -> str:
    """Return a number to two digits, with all digits before the decimal point."""
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.1g}"
