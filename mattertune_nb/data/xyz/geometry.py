"""Reads only the geometry of an extended-XYZ frame, twenty times as fast as the whole frame."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Geometry = tuple[
    "NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.bool_]"
]
"""Atomic numbers (n,), positions (n, 3) in Å, cell (3, 3) in Å, periodicity (3,)."""

_CELL_KEYS = re.compile(rb"(?i)(?<![\w-])(lattice|cell|pbc|origin)\s*=")
_LATTICE = re.compile(rb'(?<![\w-])Lattice="([^"]*)"')
_PBC = re.compile(rb'(?<![\w-])pbc="([TF]) ([TF]) ([TF])"')
_PROPERTIES = re.compile(rb"(?<![\w-])Properties=(\S+)")


def plain_geometry(block: bytes) -> Geometry | None:
    """Return the geometry of a frame in the form written by ASE, or None for any other form.

    Parameters
    ----------
    block
        The frame exactly as in its file, including the line with the number of atoms.
    """
    first, _, rest = block.partition(b"\n")
    header, _, body = rest.partition(b"\n")
    declared, lattice, pbc = (
        _PROPERTIES.search(header),
        _LATTICE.search(header),
        _PBC.search(header),
    )
    n_known = (lattice is not None) + (pbc is not None)
    if declared is None or len(_CELL_KEYS.findall(header)) != n_known:
        return None
    columns = declared[1].split(b":")
    if columns[:6] != [b"species", b"S", b"1", b"pos", b"R", b"3"]:
        return None
    try:
        n, width = int(first), sum(map(int, columns[2::3]))
        tokens = body.split()
        if len(tokens) != n * width or n == 0:
            return None
        known = _known()
        numbers = np.array([known[symbol] for symbol in tokens[::width]], dtype=np.int64)
        table = [tokens[k::width] for k in (1, 2, 3)]
        positions = np.array(table, dtype=np.bytes_).astype(np.float64).T
        cell = np.zeros((3, 3))
        if lattice is not None:
            cell = np.array(lattice[1].split(), dtype=np.bytes_).astype(np.float64).reshape(3, 3)
    except (KeyError, ValueError):
        return None
    flags = [lattice is not None] * 3 if pbc is None else [flag == b"T" for flag in pbc.groups()]
    return numbers, positions, cell, np.array(flags)


@cache
def _known() -> dict[bytes, int]:
    """Return the atomic numbers of all symbols."""
    from ase.data import atomic_numbers

    return {symbol.encode(): z for symbol, z in atomic_numbers.items()}
