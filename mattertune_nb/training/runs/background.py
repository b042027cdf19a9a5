"""A process that continues training when the one that started it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOR_SCREENS = ("FORCE_COLOR", "CLICOLOR_FORCE")
"""Set in every notebook kernel; printed output goes to a file."""

_WIDTH = {"COLUMNS": "72"}
"""Characters per line, as many as fit a narrow cell."""


def resume_in_background(
    path: Path, console: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Continue a run or a series of runs in a separate process.

    Parameters
    ----------
    path
        The directory of the run or the series.
    console
        The file to which the process's output is appended.
    environment
        Environment variables of the process, in addition to those of this one.

    Returns
    -------
    subprocess.Popen
        The process.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _FOR_SCREENS}
    with console.open("ab") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "mattertune_nb.cli", "resume", "--quiet", str(path)],
            env={**inherited, **_WIDTH, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
