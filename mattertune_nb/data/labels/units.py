"""Conversion from the units of a file to eV, eV/Å and eV/Å³."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mattertune_nb.config.properties import ENERGY, FORCES, PROPERTIES, STRESSES, Property
from mattertune_nb.config.units import LabelUnitsConfig, canonical_unit
from mattertune_nb.data.labels.names import PER_ATOM, read_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms
    from numpy.typing import NDArray

_WORDS = {
    ENERGY.name: ("energy", "energies", "e"),
    FORCES.name: ("force", "forces", "gradient"),
    STRESSES.name: ("stress", "stresses", "virial", "virials"),
    "length": ("length", "lengths", "position", "positions", "pos", "distance", "lattice", "cell"),
}
_SYSTEMS = {
    "metal": {},
    "ev": {},
    "real": {ENERGY.name: "kcal/mol", FORCES.name: "kcal/mol/Å"},
    "atomic": {
        ENERGY.name: "Hartree",
        FORCES.name: "Hartree/Bohr",
        "length": "Bohr",
        STRESSES.name: "Hartree/Bohr³",
    },
}
"""Meaning of a single ``units=…``, with LAMMPS' names."""
_SYSTEMS |= {"au": _SYSTEMS["atomic"], "a.u.": _SYSTEMS["atomic"], "hartree": _SYSTEMS["atomic"]}
_OWN = {name: prop.unit for name, prop in PROPERTIES.items()} | {"length": "Å"}
_IN_NAME = re.compile(
    r"(?<![a-z])(mev|ev|hartree|ha|ry|rydberg|kcal_?/?mol|kj_?/?mol|gpa|kbar|kb)(?![a-z])"
)

_LENGTH_IN_NAME = re.compile(r"(?<![a-z])(nm|bohr|ang|angstrom|a)(?![a-z])")


def unit_factor(unit: str) -> float:
    """Return the factor from a unit to eV, Å, eV/Å or eV/Å³."""
    from ase import units

    single = {
        "eV": 1.0,
        "meV": 1e-3,
        "Hartree": units.Hartree,
        "Ry": units.Rydberg,
        "kcal": units.kcal,
        "kJ": units.kJ,
        "mol": units.mol,
        "Å": 1.0,
        "Bohr": units.Bohr,
        "nm": units.nm,
        "GPa": units.GPa,
        "kbar": 0.1 * units.GPa,
        "bar": units.bar,
        "atom": 1.0,
    }
    first, *rest = unit.split("/")
    factor = single[first]
    for part in rest:
        factor /= single[part.removesuffix("³")] ** (3 if part.endswith("³") else 1)
    return float(factor)


class UnitError(Exception):
    """A unit that cannot be used; the message says which and what to do."""


def converted(
    array: NDArray[np.float64],
    prop: Property,
    key: str,
    stored: Mapping[str, Any],
    units: LabelUnitsConfig,
    written: str | None,
    atoms: Atoms,
) -> tuple[NDArray[np.float64], str | None]:
    """Return a label in eV, eV/Å or eV/Å³, and a description of the conversion, or None.

    Parameters
    ----------
    array
        The label as in the file; a stress in Voigt order.
    prop, key
        The label and its name.
    stored
        Values of the structure, which may include units.
    units
        Units in the config.
    written
        Unit written after the value.
    atoms
        The structure, with lengths in Å.

    Raises
    ------
    UnitError
        See :func:`unit_of`; or a sign or a volume is unknown.
    """
    kind = read_name(key).kind
    if prop.name == STRESSES.name and (units.stress_as or kind) == "virial":
        return _from_virial(array, key, stored, units, written, atoms)
    unit = unit_of(prop, key, stored, units, written)
    factor, how = unit_factor(unit), f"'{key}' is converted from {unit}"
    if prop.name == STRESSES.name:
        if not unit.endswith("³") and unit not in ("GPa", "kbar", "bar"):
            msg = f"'{unit}' is not a unit of stress; set units.stress, or units.stress_as: virial."
            raise UnitError(msg)
        if unit in ("kbar", "bar") and units.sign is None:
            msg = (
                f"it is in {unit}, like VASP's, whose sign is opposite to ASE's; set units.sign to "
                "'vasp' (positive under pressure) or 'ase' (positive under tension)."
            )
            raise UnitError(msg)
        if units.sign == "vasp":
            factor, how = -factor, f"{how} and its sign from VASP's"
    if unit.endswith("/atom"):
        factor, how = (
            factor * len(atoms),
            f"'{key}' is an energy per atom, multiplied by the number of atoms",
        )
    if prop.name == FORCES.name and forces_as(key, units) == "gradient":
        factor, how = -factor, f"the forces are -'{key}', in {unit}"
    return (array, None) if factor == 1.0 and not how.startswith("the") else (array * factor, how)


def _from_virial(
    array: NDArray[np.float64],
    key: str,
    stored: Mapping[str, Any],
    units: LabelUnitsConfig,
    written: str | None,
    atoms: Atoms,
) -> tuple[NDArray[np.float64], str]:
    unit: str | None = units.energy or _stated(STRESSES, key, stored, written)
    unit = unit or _stated(ENERGY, "energy", stored, None) or "eV"
    if unit.endswith("³") or unit in ("GPa", "kbar", "bar", "eV/atom"):
        msg = f"a virial in {unit}? It is an energy; set units.energy, or units.stress_as: stress."
        raise UnitError(msg)
    sign = 1.0 if units.sign == "vasp" else -1.0
    how = f"the stress is {'' if sign > 0 else '-'}'{key}' / volume, a virial in {unit}"
    return sign * array * unit_factor(unit) / atoms.get_volume(), how


def forces_as(key: str, units: LabelUnitsConfig) -> Literal["forces", "gradient"]:
    """Return whether the values under a key are forces, or the gradient of the energy."""
    return units.forces_as or ("gradient" if read_name(key).kind == "gradient" else "forces")


def unit_of(
    prop: Property,
    key: str,
    stored: Mapping[str, Any],
    units: LabelUnitsConfig,
    written: str | None,
) -> str:
    """Return the unit of a label.

    Parameters
    ----------
    prop, key
        The label and its name.
    stored
        Values of the structure, which may include units.
    units
        Units in the config, which take precedence.
    written
        Unit written after the value.

    Raises
    ------
    UnitError
        The stated unit does not suit the label, or a unit is stated for the energy but not for the forces.
    """
    given: str | None = getattr(units, prop.ase)
    stated = given or _stated(prop, key, stored, written)
    if stated is not None:
        return stated
    if prop.name == FORCES.name:
        energy = units.energy or _stated(ENERGY, "energy", stored, None)
        if energy not in (None, "eV", "eV/atom"):
            text = (
                f"the energy is in {energy}, but no unit is stated for the forces; set units.forces, e.g. "
                f"'Hartree/Bohr' or 'eV/Å'."
            )
            raise UnitError(text)
    return _OWN[prop.name]


def stated_length(stored: Mapping[str, Any]) -> str | None:
    """Return the unit of length stated in a structure, or None.

    Raises
    ------
    UnitError
        The stated unit is not a unit of length.
    """
    return _stated_in("length", stored)


def _stated(prop: Property, key: str, stored: Mapping[str, Any], written: str | None) -> str | None:
    if prop.name == ENERGY.name and read_name(key).excluded == PER_ATOM:
        return _per_atom(stored)
    if written is not None:
        return _known(prop.name, f"'{key}' has the unit", written)
    in_file = _stated_in(prop.name, stored)
    if in_file is not None:
        return in_file
    in_name = _IN_NAME.search(key.lower())
    if in_name is None:
        return None
    unit = canonical_unit(in_name[1])
    if prop.name == FORCES.name and unit in ("eV", "meV", "kcal/mol", "kJ/mol", "Hartree", "Ry"):
        length = _LENGTH_IN_NAME.search(key.lower(), in_name.end())
        usual = "Bohr" if unit in ("Hartree", "Ry") else "Å"
        unit = f"{unit}/{usual if length is None else canonical_unit(length[1])}"
    return unit if unit is not None and _fits(prop.name, unit) else None


def _per_atom(stored: Mapping[str, Any]) -> str:
    unit = _stated_in(ENERGY.name, stored) or "eV"
    if unit not in ("eV", "eV/atom"):
        msg = f"an energy per atom in {unit} is not converted; give it in eV, or as a total."
        raise UnitError(msg)
    return "eV/atom"


def _stated_in(label: str, stored: Mapping[str, Any]) -> str | None:
    for key, value in stored.items():
        if not isinstance(value, str):
            continue
        words = [w for w in re.split(r"[^a-z]+", key.lower()) if w]
        # CIF states with unit_cell which of several equivalent cells it uses
        if not {"unit", "units"} & set(words) or words == ["unit", "cell"]:
            continue
        if set(words) <= {"unit", "units"}:
            system = _SYSTEMS.get(value.strip().lower())
            if system is None:
                text = f"'{key}' is '{value}', whose meaning is unknown; set each of the fields of units."
                raise UnitError(text)
            if label in system or label != "length":
                return system.get(label, _OWN[label])
        elif any(word in _WORDS[label] for word in words):
            return _known(label, f"'{key}' is", value)
    return None


def _known(label: str, what: str, text: str) -> str:
    unit = canonical_unit(text)
    if unit is not None and label == FORCES.name and unit == "Hartree":
        unit = "Hartree/Bohr" if text.strip().lower() in ("au", "a.u.") else unit
    if unit is not None and label == STRESSES.name and text.strip().lower() in ("au", "a.u."):
        unit = "Hartree/Bohr³"
    if unit is None or not _fits(label, unit):
        name = "stress" if label == STRESSES.name else label
        msg = f"{what} '{text}', which is not a known unit of this label; set units.{name}."
        raise UnitError(msg)
    return unit


def _fits(label: str, unit: str) -> bool:
    head = unit.split("/")[0]
    is_energy = head in ("eV", "meV", "Hartree", "Ry", "kcal", "kJ")
    match label:
        case ENERGY.name:
            return is_energy and not unit.endswith(("Å", "Bohr", "nm", "³"))
        case FORCES.name:
            return is_energy and unit.endswith(("/Å", "/Bohr", "/nm"))
        case STRESSES.name:
            return head in ("GPa", "kbar", "bar") or (
                is_energy and not unit.endswith(("Å", "Bohr"))
            )
        case _:
            return unit in ("Å", "Bohr", "nm")


def with_lengths(atoms: Atoms, factor: float) -> Atoms:
    """Return a structure with positions and cell scaled by a factor, and unchanged labels."""
    from ase.calculators.singlepoint import SinglePointCalculator

    from mattertune_nb.data.plain import calculator_results

    results = calculator_results(atoms)
    scaled = atoms.copy()
    scaled.set_cell(np.asarray(atoms.cell) * factor, scale_atoms=False)
    scaled.positions = atoms.positions * factor
    if results:
        scaled.calc = SinglePointCalculator(scaled, **results)
    return scaled
