"""The values that a structure contains besides its geometry, as numbers in any notation."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.data.plain import calculator_results

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
_LONGEST = 40


def stored_values(atoms: Atoms) -> dict[str, Any]:
    """Return all values of a structure besides its geometry, by key; info comes first."""
    results = calculator_results(atoms)
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    return {k: v for k, v in {**results, **arrays, **atoms.info}.items() if v is not None}


def numbers_of(value: Any) -> NDArray[np.float64] | None:
    """Return a value in float64, or None if it does not consist of numbers.

    Text counts if all of it is numbers: with Fortran exponents (``-6.8D+00``), in JSON brackets, or followed
    by a unit (``-6.8 eV``).
    """
    return quantity_of(value)[0]


def quantity_of(value: Any) -> tuple[NDArray[np.float64] | None, str | None]:
    """Return the numbers of a value, None if it has none, and the unit written after them."""
    if isinstance(value, (bool, np.bool_)):
        return None, None
    if isinstance(value, str):
        return _of_text(value)
    try:
        array = np.asarray(value)
        return (array.astype(np.float64) if array.dtype.kind in "iuf" else None), None
    except (TypeError, ValueError):
        return None, None


def in_voigt_order(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return six or nine stress numbers as xx, yy, zz, yz, xz, xy; the halves of nine are averaged."""
    from ase.stress import full_3x3_to_voigt_6_stress

    return stress if stress.shape == (6,) else full_3x3_to_voigt_6_stress(stress.reshape(3, 3))


def as_float(text: str) -> float | None:
    """Return the number in a word, which may have a Fortran exponent, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    return float(text.lower().replace("d", "e"))


def shown_value(value: Any) -> str:
    """Return a value as shown in a message, cut if it is long."""
    text = " ".join(str(value.tolist() if isinstance(value, np.ndarray) else value).split())
    return f"'{text}'" if len(text) <= _LONGEST else f"'{text[: _LONGEST - 1]}…'"


def _of_text(text: str) -> tuple[NDArray[np.float64] | None, str | None]:
    text = text.strip()
    if text.startswith("["):
        try:
            return quantity_of(json.loads(text))
        except ValueError:
            return None, None
    words = re.findall(r"[^\s,]+", text)
    numbers = [as_float(word) for word in words]
    n = next((i for i, number in enumerate(numbers) if number is None), len(words))
    if n == 0:
        return None, None
    array = np.array(numbers[:n], dtype=np.float64)
    return (array.reshape(()) if n == 1 else array), (" ".join(words[n:]) or None)
