"""The software versions with which a run was made."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_RECORDED = (
    "mattertune-nb",
    "torch",
    "lightning",
    "torchmetrics",
    "ase",
    "numpy",
    "chgnet",
    "sevenn",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect a run."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
