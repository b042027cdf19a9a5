"""The IPython in which this process runs, if it does, and who serves its page."""

from __future__ import annotations

import os
import sys
from typing import Any


def ipython_shell() -> Any:
    """Return the running shell of IPython, or ``None``; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def served_by_voila() -> bool:
    """Return whether Voila shows the page of this kernel."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
