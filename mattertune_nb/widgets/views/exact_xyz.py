"""Extended XYZ without loss of digits; ASE's own writer keeps eight decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase.io.extxyz import key_val_dict_to_str
from ase.stress import voigt_6_to_full_3x3_stress

from mattertune_nb.data.plain import calculator_results

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ase import Atoms

_KINDS = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S"}


def write_exact(path: Path, frames: Iterable[Atoms]) -> None:
    """Write structures with everything they contain, each number with all its digits.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with path.open("w", encoding="utf-8") as file:
        for atoms in frames:
            file.write(_frame(atoms))


def _frame(atoms: Atoms) -> str:
    n = len(atoms)
    columns: dict[str, Any] = {"species": np.array(atoms.get_chemical_symbols())}
    columns["pos"] = atoms.positions
    info: dict[str, Any] = dict(atoms.info)
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    for key, value in {**calculator_results(atoms), **arrays}.items():
        array = np.asarray(value)
        if array.ndim in (1, 2) and array.shape[0] == n and array.dtype.kind in _KINDS:
            columns[key] = array
        else:
            info.setdefault(key, value)
    for key in ("stress", "virial"):
        value = np.asarray(info.get(key, ()))
        if value.size == 6:
            # under these names ASE reads only a matrix
            info[key] = voigt_6_to_full_3x3_stress(value.ravel())
    tables = {name: np.asarray(value).reshape(n, -1) for name, value in columns.items()}
    properties = ":".join(
        f"{name}:{_KINDS[table.dtype.kind]}:{table.shape[1]}" for name, table in tables.items()
    )
    header = {"Lattice": atoms.cell.array.T} if atoms.cell.any() else {}
    said = key_val_dict_to_str(header | {"Properties": properties} | info | {"pbc": atoms.pbc})
    rows = [
        " ".join(_text(x) for table in tables.values() for x in table[i].tolist()) for i in range(n)
    ]
    return "\n".join([str(n), said, *rows]) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return repr(value) if isinstance(value, float) else str(value)
