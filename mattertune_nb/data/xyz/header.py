"""The second line of an extended-XYZ frame, including variants that ASE's parser rejects or misreads."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from mattertune_nb.data.labels.values import numbers_of, shown_value

_TENSORS = re.compile(r"(?<![\w-])(Lattice|virial|stress)(?=\s*=)")
_NESTED = re.compile(r"=\s*(\[\s*\[[^\"'={}]*?\]\s*\])")
_ITEM = re.compile(r"[^][,\s]+")
_HIDDEN = "tensor_of_"
_FORTRAN = re.compile(r"([+-]?(?:\d+\.\d*|\.\d+))[dD]([+-]?\d+)")
_THREE_FORCES = re.compile(r"(?i)(?<![^:])(|\w+_)f_?x:R:1:\1f_?y:R:1:\1f_?z:R:1(?![^:])")
_CELLS = frozenset(
    (
        "lattice",
        "cell",
        "unit_cell",
        "unitcell",
        "cell_vectors",
        "cell_matrix",
        "lattice_vectors",
        "lattice_matrix",
        "box",
        "box_vectors",
        "box_matrix",
        "h_matrix",
        "simulation_cell",
    )
)


def parse_header(line: str) -> dict[str, Any]:
    """Return the entries of a header; passed to ASE in place of its own parser.

    Tensors may have six or nine numbers, JSON brackets and Fortran exponents; the cell may have another
    name; an asymmetric stress keeps all nine numbers; columns `fx`, `fy`, `fz` are forces.

    Raises
    ------
    ValueError
        A cell or tensor has a different number of components, or a quote is not closed.
    """
    from ase.io.extxyz import key_val_str_to_dict

    if '="' in line and line.replace('\\"', "").count('"') % 2:
        text = 'a quote (") in the second line is not closed, so that entries after it cannot be told apart'
        raise ValueError(text)
    line = _NESTED.sub(lambda found: '="' + " ".join(_ITEM.findall(found[1])) + '"', line)
    # for names it knows, ASE refuses tensors without nine numbers; for other names it does not
    line = _TENSORS.sub(lambda found: _HIDDEN + found[1], line)
    entries = key_val_str_to_dict(line)
    entries = {key.removeprefix(_HIDDEN): v for key, v in entries.items()}
    for key in list(entries):
        if key.lower() == "properties" and "Properties" not in entries:
            entries["Properties"] = entries.pop(key)
        elif key.lower() == "pbc" and "pbc" not in entries:
            entries["pbc"] = entries.pop(key)
    for key, value in entries.items():
        if isinstance(value, str) and (found := _FORTRAN.fullmatch(value)):
            entries[key] = np.float64(f"{found[1]}e{found[2]}")
    columns = entries.get("Properties")
    if isinstance(columns, str):
        joined = _THREE_FORCES.sub(lambda found: f"{found[1]}forces:R:3", columns)
        names = joined.split(":")[::3]
        entries["Properties"] = joined if len(set(names)) == len(names) else columns
    _take_cell(entries)
    for key in ("stress", "virial"):
        if key in entries:
            entries[key] = _tensor(key, entries[key])
    return entries


def _take_cell(entries: dict[str, Any]) -> None:
    """Convert the cell to the form ASE expects, whatever its name."""
    names = [key for key in entries if key.lower() in _CELLS]
    name = "Lattice" if "Lattice" in entries else next(iter(names), None)
    if name is None:
        return
    array = numbers_of(entries[name])
    if array is None and name != "Lattice":
        return  # a word, such as the kind of a cell
    if array is None or array.size != 9:
        text = (
            f"the cell '{name}' is {shown_value(entries[name])}, expected nine numbers: Lattice=\"ax ay az "
            'bx by bz cx cy cz"'
        )
        raise ValueError(text)
    del entries[name]
    # ASE transposes it
    entries["Lattice"] = array.reshape(3, 3).T


def _tensor(key: str, value: Any) -> Any:
    array = numbers_of(value)
    if array is None or array.size != 9:
        return value if array is None else array
    matrix = array.reshape(3, 3)
    is_symmetric = np.abs(matrix - matrix.T).max() <= 1e-9 * max(np.abs(matrix).max(), 1e-9)
    return matrix if is_symmetric or key == "virial" else array
