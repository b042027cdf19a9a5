"""Comparison of predictions with expected values, within tolerances."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, STRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ase import Atoms
    from ase.calculators.calculator import Calculator

Prediction = dict[str, Any]

TOLERANCES = {ENERGY.name: 1e-5, FORCES.name: 1e-4, STRESSES.name: 1e-5}
"""Largest difference allowed, in eV/atom, eV/Å and eV/Å³."""


def calculated(atoms: Atoms, calculator: Calculator, *, with_stress: bool) -> Prediction:
    """Return an ASE calculator's prediction for a structure, including the stress if it has one."""
    atoms = atoms.copy()
    atoms.calc = calculator
    found = {ENERGY.name: atoms.get_potential_energy(), FORCES.name: atoms.get_forces()}
    if with_stress:
        with suppress(PropertyNotImplementedError):
            found[STRESSES.name] = atoms.get_stress()
    return found


def differences(
    what: str, found: Prediction, expected: Prediction, slack: float = 1
) -> Iterator[str]:
    """Yield a line for each property of `found` that differs from `expected` by more than allowed."""
    for name, value in expected.items():
        if name not in found:
            yield f"{what}: the {name} is missing"
            continue
        forces: Any = expected.get("forces", found.get("forces", ()))
        n = len(forces) if PROPERTIES[name].shown_per_atom else 1
        yield from compare(what, name, np.asarray(found[name]) / n, np.asarray(value) / n, slack)


def compare(what: str, name: str, found: Any, expected: Any, slack: float = 1) -> Iterator[str]:
    """Yield a line if a property differs from the expected value by more than allowed."""
    error = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    allowed = TOLERANCES[name] * slack
    prop = PROPERTIES[name]
    unit = f"{prop.unit}/atom" if prop.shown_per_atom else prop.unit
    # not `error > allowed`, which would let NaN pass
    if not error <= allowed:
        yield f"{what}: {name} off by {error:.2g} {unit} (allowed: {allowed:.0e})"


def last_bits(found: Mapping[str, Prediction], expected: Mapping[str, Prediction]) -> Iterator[str]:
    """Yield the properties that are not the same to the last bit, each with the largest difference.

    Parameters
    ----------
    found, expected
        Predictions by the name of their structure, in eV, eV/Å and eV/Å³.
    """
    largest: dict[str, float] = {}
    for name, prediction in expected.items():
        for key, value in prediction.items():
            size = float(np.abs(np.asarray(found[name][key]) - value).max())
            largest[key] = max(largest.get(key, 0.0), size)
    for key, size in largest.items():
        if size:
            yield f"{key} off by up to {size:.1g} from one call to the next"
