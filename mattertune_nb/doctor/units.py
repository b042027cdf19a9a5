"""Units in which labels may be by mistake, identified by how many times too large they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ase import units

from mattertune_nb.config.unbroken import with_minus
from mattertune_nb.data.labels.units import unit_factor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def _sizes(names: Iterable[str]) -> dict[str, float]:
    return {name: 1 / unit_factor(name) for name in names}


ENERGY_UNITS = _sizes(("Hartree", "Ry", "kcal/mol", "kJ/mol", "meV"))
"""Value of one eV in each unit."""

FORCE_UNITS = _sizes(
    (
        "Hartree/Bohr",
        "Ry/Bohr",
        "eV/Bohr",
        "Hartree/Å",
        "kcal/mol/Å",
        "kJ/mol/Å",
        "kJ/mol/nm",
        "meV/Å",
    )
)
"""Value of one eV/Å in each unit."""

STRESS_UNITS = _sizes(("GPa", "kbar", "bar", "Hartree/Bohr³", "meV/Å³")) | {"MPa": 1e3 / units.GPa}
"""Value of one eV/Å³ in each unit."""

_NEAR = 1.4


def nearest_unit(factor: float, known: Mapping[str, float], near: float = _NEAR) -> str | None:
    """Return the unit of labels that are this many times too large, or ``None``."""
    name = min(known, key=lambda unit: abs(math.log(factor / known[unit])))
    return name if abs(math.log(factor / known[name])) < math.log(near) else None


def times(slope: float) -> str:
    """Return a factor as text, e.g. ``22.9 times``."""
    return with_minus(f"{slope:.3g} times")
