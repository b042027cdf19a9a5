"""Output of Quantum ESPRESSO's pw.x, read by ASE, and which steps converged."""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING

from mattertune_nb.data.readers.ase_files import MarkedFrames, read_by_ase
from mattertune_nb.data.readers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BEGINS = b"Program PWSCF"

# where ASE begins a frame, what makes it one, and what pw.x says of electronic steps that were too few
_MARKS = re.compile(
    rb"(?P<frame>Program PWSCF|ATOMIC_POSITIONS)|(?P<failed>convergence NOT achieved after)"
    rb"|(?P<result>!    total energy|Forces acting on atoms|total   stress|Magnetic moment per site"
    rb"|End of self-consistent calculation|End of band structure calculation)"
)


def _steps(text: mmap.mmap) -> Iterator[bool]:
    """Yield whether the electronic steps of each frame with results converged."""
    has_results, converged = False, True
    for mark in _MARKS.finditer(text):
        match mark.lastgroup:
            case "result":
                has_results = True
            case "failed":
                converged = False
            case _:
                if has_results:
                    yield converged
                has_results, converged = False, True
    if has_results:
        yield converged


def _open(path: Path) -> MarkedFrames:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        unconverged = frozenset(i for i, ok in enumerate(_steps(text)) if not ok)
    return MarkedFrames(read_by_ase(path, "espresso-out"), unconverged)


def _takes(path: Path, head: bytes) -> bool:
    del path
    return _BEGINS in head


READER = Reader("espresso-out", _takes, _open)
