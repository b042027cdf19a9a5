"""Structures as plain data, so that a config that contains them can be saved and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


def atoms_to_plain(atoms: Atoms) -> dict[str, Any]:
    """Return a structure as builtins: numbers, positions (Å), cell (Å), pbc, and its other values.

    Besides the geometry, numbers, strings and arrays of these in ``info`` and ``arrays`` are kept, and the
    results of a calculator if they belong to these positions. Floats keep all digits.
    """
    from ase.calculators.calculator import all_properties

    results = calculator_results(atoms)
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    plain = {
        "numbers": atoms.numbers.tolist(),
        "positions": np.asarray(atoms.positions, dtype=float).tolist(),
        "cell": np.asarray(atoms.cell, dtype=float).tolist(),
        "pbc": [bool(p) for p in atoms.pbc],
        "info": _plain_items(atoms.info),
        "arrays": _plain_items(arrays),
        "results": _plain_items({k: v for k, v in results.items() if k in all_properties}),
    }
    return {k: v for k, v in plain.items() if k not in ("info", "arrays", "results") or v}


def atoms_from_plain(plain: dict[str, Any]) -> Atoms:
    """Build the structure described by :func:`atoms_to_plain`.

    Raises
    ------
    ValueError
        Unknown or missing entries, or entries that do not make a structure.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    known = {"numbers", "positions", "cell", "pbc", "info", "arrays", "results"}
    unknown, absent = set(plain) - known, {"numbers", "positions"} - set(plain)
    if unknown or absent:
        wrong = f"unknown {sorted(unknown)}" if unknown else f"missing {sorted(absent)}"
        msg = f"a structure has the entries {sorted(known)}: {wrong}"
        raise ValueError(msg)
    try:
        atoms = Atoms(
            numbers=np.array(plain["numbers"], dtype=int),
            positions=np.array(plain["positions"], dtype=float).reshape(-1, 3),
            cell=plain.get("cell"),
            pbc=plain.get("pbc"),
            info={k: _array_of(v) for k, v in plain.get("info", {}).items()},
        )
        for name, value in plain.get("arrays", {}).items():
            atoms.set_array(name, np.array(value))
        results = {k: _array_of(v) for k, v in plain.get("results", {}).items()}
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
    except Exception as exc:  # ASE and NumPy raise all sorts of exceptions here
        msg = f"not a structure ({exc})"
        raise ValueError(msg) from exc
    return atoms


def as_atoms(value: Any) -> Atoms:
    """Return a copy of a structure, or the structure described by plain data, in a uniform form.

    The copy keeps later changes of the user's object out of the config.

    Raises
    ------
    ValueError
        It is neither.
    """
    from ase import Atoms

    if isinstance(value, Atoms):
        return atoms_from_plain(atoms_to_plain(value))
    if isinstance(value, dict):
        return atoms_from_plain(value)
    msg = f"expected an ase.Atoms, got {type(value).__name__}"
    raise ValueError(msg)


def calculator_results(atoms: Atoms) -> dict[str, Any]:
    """Return the results of a structure's calculator; empty if the structure has changed since."""
    calc = atoms.calc
    if calc is None:
        return {}
    # readers create calculators with exactly these atoms: comparing digits is faster than ASE's check
    is_same = type(calc).__name__ == "SinglePointCalculator" and _is_one(atoms, calc.atoms)
    if not is_same and hasattr(calc, "check_state") and calc.check_state(atoms):
        return {}
    return dict(getattr(calc, "results", {}))


def _is_one(atoms: Atoms, other: Atoms) -> bool:
    """Return whether two structures are equal to the last digit."""
    names = ("numbers", "positions", "initial_magmoms", "initial_charges")
    pairs = [(atoms.arrays.get(name), other.arrays.get(name)) for name in names]
    pairs += [(atoms.cell.array, other.cell.array), (atoms.pbc, other.pbc)]
    return all(
        one is two is None or (one is not None and two is not None and np.array_equal(one, two))
        for one, two in pairs
    )


def _plain_items(items: dict[str, Any]) -> dict[str, Any]:
    """Return the entries that are numbers, strings or arrays of these, as builtins."""
    plain = {}
    for key, value in items.items():
        if value is None or not isinstance(key, str):
            continue
        try:
            array = np.asarray(value)
        except ValueError:  # a ragged list
            continue
        if array.dtype.kind in "biufU":
            plain[key] = array.tolist()
    return plain


def _array_of(value: Any) -> Any:
    return np.array(value) if isinstance(value, list) else value
