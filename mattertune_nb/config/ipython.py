"""The IPython in which this process runs, if it does."""

from __future__ import annotations

import sys
from typing import Any


def ipython_shell() -> Any:
    """Return the running shell of IPython, or ``None``; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
