"""Units in which labels may be by mistake, told by how many times too large they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ase import units

if TYPE_CHECKING:
    from collections.abc import Mapping

ENERGY_UNITS: dict[str, float] = {
    "Hartree": 1 / units.Hartree,
    "Ry": 1 / units.Rydberg,
    "kcal/mol": units.mol / units.kcal,
    "kJ/mol": units.mol / units.kJ,
    "meV": 1000.0,
}
"""Number that one eV is in each."""

FORCE_UNITS: dict[str, float] = {
    "Hartree/Bohr": units.Bohr / units.Hartree,
    "Ry/Bohr": units.Bohr / units.Rydberg,
    "eV/Bohr": units.Bohr,
    "Hartree/Å": 1 / units.Hartree,
    "kcal/mol/Å": units.mol / units.kcal,
    "kJ/mol/Å": units.mol / units.kJ,
    "kJ/mol/nm": 10 * units.mol / units.kJ,
    "meV/Å": 1000.0,
}
"""Number that one eV/Å is in each."""

STRESS_UNITS: dict[str, float] = {
    "GPa": 1 / units.GPa,
    "kbar": 10 / units.GPa,
    "bar": 1e4 / units.GPa,
    "MPa": 1e3 / units.GPa,
    "Hartree/Bohr³": units.Bohr**3 / units.Hartree,
    "meV/Å³": 1000.0,
}
"""Number that one eV/Å³ is in each."""

_NEAR = 1.4


def nearest_unit(factor: float, known: Mapping[str, float]) -> str | None:
    """Return the unit in which labels are that are so many times too large, or ``None``."""
    name = min(known, key=lambda unit: abs(math.log(factor / known[unit])))
    return name if abs(math.log(factor / known[name])) < math.log(_NEAR) else None


def times(slope: float) -> str:
    """Return a factor in words, e.g. ``22.9 times``."""
    return f"{slope:.3g} times".replace("-", "−")
