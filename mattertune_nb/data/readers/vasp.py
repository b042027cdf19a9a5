"""VASP output of single calculations, read by ASE, and which steps converged."""

from __future__ import annotations

import mmap
import re
from functools import partial
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError
from mattertune_nb.data.readers.ase_files import MarkedFrames, read_by_ase
from mattertune_nb.data.readers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OUTCAR_BEGINS = re.compile(rb"^\s*vasp\.\d[^\n]*\n\s*executed on ", re.MULTILINE)
_XML_BEGINS = re.compile(rb"<modeling\b")

# in OUTCAR: the end of a frame, the end of its electronic steps, and each of these steps
_MARKS = re.compile(
    rb"(?P<frame>FREE ENERGIE OF THE ION-ELECTRON SYSTEM)|(?P<reached>aborting loop because EDIFF is reached)"
    rb"|(?P<failed>aborting loop EDIFF was not reached)|(?P<step>-- Iteration +\d+\( *\d+\) +--)"
)
_MOST_STEPS = re.compile(rb"NELM\s*=\s*(\d+)")

_TAG = re.compile(rb"<(?P<tag>calculation|scstep|structure)\b")
_MOST_STEPS_XML = re.compile(rb'name="NELM">\s*(\d+)')


def _open(
    path: Path,
    fmt: str,
    begins: re.Pattern[bytes],
    steps: Callable[[mmap.mmap], Iterator[bool]],
) -> MarkedFrames:
    """Read a file of a single calculation.

    Raises
    ------
    DataError
        It contains several, or cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        n = sum(1 for _ in begins.finditer(text))
        if n > 1:
            msg = (
                f"{path}: holds {n} outputs of VASP, joined; ASE would take the atoms of the first for all. "
                "Give each as a file of its own: a folder, a pattern or a list of files is read as one set."
            )
            raise DataError(msg)
        converged = list(steps(text))
    frames = read_by_ase(path, fmt)
    return MarkedFrames(frames, frozenset(i for i, ok in enumerate(converged) if not ok))


def _outcar_steps(text: mmap.mmap) -> Iterator[bool]:
    """Yield whether the electronic steps of each frame converged; only VASP 6 reports if they did not."""
    first = _MOST_STEPS.search(text)
    most = int(first[1]) if first else 0
    n_steps, said = 0, None
    for mark in _MARKS.finditer(text):
        match mark.lastgroup:
            case "step":
                n_steps += 1
            case "reached":
                said = True
            case "failed":
                said = False
            case _:
                yield n_steps < most or not most if said is None else said
                n_steps, said = 0, None


def _xml_steps(text: mmap.mmap) -> Iterator[bool]:
    """Yield whether each frame took fewer electronic steps than allowed, pymatgen's criterion in Vasprun.

    Steps after the structure belong to the response to a field.
    """
    tags = _TAG.finditer(text)
    begin = next((tag.start() for tag in tags if tag["tag"] == b"calculation"), 0)
    most = [int(found[1]) for found in _MOST_STEPS_XML.finditer(text, 0, begin)]
    n_steps, is_counted = 0, True
    for tag in tags:
        match tag["tag"]:
            case b"calculation":
                n_steps, is_counted = 0, True
            case b"scstep":
                n_steps += is_counted
            case _ if is_counted:
                yield not most or n_steps < most[-1]
                is_counted = False


def _is_outcar(path: Path, head: bytes) -> bool:
    del path
    return _OUTCAR_BEGINS.match(head) is not None


def _is_vasprun(path: Path, head: bytes) -> bool:
    del path
    return head.lstrip().startswith(b"<?xml") and _XML_BEGINS.search(head) is not None


OUTCAR = Reader(
    "vasp-out",
    _is_outcar,
    partial(_open, fmt="vasp-out", begins=_OUTCAR_BEGINS, steps=_outcar_steps),
)
VASPRUN = Reader(
    "vasp-xml",
    _is_vasprun,
    partial(_open, fmt="vasp-xml", begins=_XML_BEGINS, steps=_xml_steps),
)
