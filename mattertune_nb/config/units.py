"""Units of labels; values are converted to eV, eV/Å and eV/Å³ as soon as they are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from mattertune_nb.config.base import StrictConfig, setting

EnergyUnit = Literal["eV", "meV", "Hartree", "Ry", "kcal/mol", "kJ/mol", "eV/atom"]
LengthUnit = Literal["Å", "Bohr", "nm"]
ForceUnit = Literal[
    "eV/Å", "meV/Å", "eV/Bohr", "Hartree/Bohr", "Hartree/Å", "Ry/Bohr", "Ry/Å", "kcal/mol/Å",
    "kcal/mol/Bohr", "kJ/mol/Å", "kJ/mol/nm",
]  # fmt: skip
StressUnit = Literal["eV/Å³", "GPa", "kbar", "bar", "Hartree/Bohr³", "Ry/Bohr³", "meV/Å³"]

_ALIKE = {
    "ev": "eV", "electronvolt": "eV", "electronvolts": "eV", "mev": "meV",
    "hartree": "Hartree", "hartrees": "Hartree", "ha": "Hartree", "eh": "Hartree", "au": "Hartree",
    "a.u.": "Hartree", "ry": "Ry", "rydberg": "Ry", "rydbergs": "Ry", "ryd": "Ry",
    "kcal/mol": "kcal/mol", "kcalmol": "kcal/mol", "kj/mol": "kJ/mol", "kjmol": "kJ/mol",
    "å": "Å", "a": "Å", "ang": "Å", "angstrom": "Å", "angstroms": "Å", "ångström": "Å", "aa": "Å",
    "bohr": "Bohr", "bohrs": "Bohr", "a0": "Bohr", "au_length": "Bohr", "nm": "nm",
    "gpa": "GPa", "kbar": "kbar", "kb": "kbar", "kilobar": "kbar", "bar": "bar",
    "atom": "atom", "at": "atom",
}  # fmt: skip
"""Spellings of single units, in lower case."""


def canonical_unit(text: str) -> str | None:
    """Return a unit as this package writes it, e.g. ``eV/Å³`` for ``ev/angstrom^3``; None if unknown."""
    plain = text.strip().lower().replace("**", "").replace("^", "").replace("*", "/")
    plain = plain.replace(" per ", "/").replace("·", "/").replace(" ", "/").replace("_", "/")
    plain = plain.replace("kcal/mol", "kcalmol").replace("kj/mol", "kjmol").replace("-1", "")
    parts = []
    for part in filter(None, plain.split("/")):
        cubic = part[-1:] in ("3", "³") and part not in _ALIKE
        name = _ALIKE.get(part[:-1] if cubic else part)
        if name is None:
            return None
        parts.append(f"{name}³" if cubic else name)
    if parts == ["Hartree", "Hartree"]:  # atomic unit of force
        return None
    return "/".join(parts) or None


def _spelt(value: Any) -> Any:
    return (canonical_unit(value) or value) if isinstance(value, str) else value


_Spelt = BeforeValidator(_spelt)


class LabelUnitsConfig(StrictConfig):
    """Units of the labels of a file; not set: as the file states them, otherwise eV, Å, eV/Å and eV/Å³."""

    energy: Annotated[EnergyUnit | None, _Spelt] = setting(
        None, "Unit of the energy; not set: as stated in the file, otherwise eV.", label="Energy in"
    )
    length: Annotated[LengthUnit | None, _Spelt] = setting(
        None, "Unit of positions and cell; not set: Å.", label="Lengths in"
    )
    forces: Annotated[ForceUnit | None, _Spelt] = setting(
        None,
        "Unit of the forces; not set: as stated in the file, otherwise eV/Å.",
        label="Forces in",
    )
    stress: Annotated[StressUnit | None, _Spelt] = setting(
        None,
        "Unit of the stress; not set: as stated in the file, otherwise eV/Å³. A virial has the unit of the "
        "energy.",
        label="Stress in",
    )
    sign: Literal["ase", "vasp"] | None = setting(
        None,
        "Sign of the stress: 'ase' is positive under tension, 'vasp' under pressure, as in VASP, CHGNet and "
        "the Materials Project; not set: ASE's sign, but required if the unit is kbar.",
        label="Sign of the stress",
        options={"ase": "ASE: positive under tension", "vasp": "VASP: positive under pressure"},
    )
    forces_as: Literal["forces", "gradient"] | None = setting(
        None,
        "Whether the values under `forces_key` are forces or the gradient of the energy, whose negative they "
        "are; not set: decided by the name.",
        label="Forces given as",
    )
    stress_as: Literal["stress", "virial"] | None = setting(
        None,
        "Whether the values under `stress_key` are a stress or a virial, whose stress is -virial / volume; "
        "not set: decided by the name.",
        label="Stress given as",
    )
