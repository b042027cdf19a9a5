"""Errors against labels: forces by element and size, energies and stress."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.physics.checks.case import bare
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_MOST = 12
_WORSE = 1.1
"""An error this many times that before tuning is worse, beyond chance."""

_SUFFIX = {FORCES: "meV_per_A", ENERGY: "meV_per_atom", STRESSES: "meV_per_A3"}
"""End of the names of numbers, in the order of the line."""


def parity(case: Case) -> Line:
    """Compare with labels: forces overall, by element, composition and size; energies, stress."""
    frames = labelled(case)
    if not frames:
        return Line("parity", "skipped", reason="the frames have no forces to compare with")
    groups = _groups(frames)
    errors: dict[str, dict[str, dict[str, float]]] = {}
    for stage, calculator in case.calculators().items():
        wrong = {prop.ase: _wrong(case, calculator, prop.ase) for prop in _SUFFIX}
        # energies of cells of several sizes are compared per atom
        errors[stage] = {
            "forces": {
                name: 1e3 * float(wrong["forces"][mask].mean())
                for name, mask in groups.items()
                if mask.any()
            }
        } | {
            name: {"all": 1e3 * float(w.mean())}
            for name, w in wrong.items()
            if name != "forces" and len(w)
        }
    tuned, untuned = errors["tuned"], errors.get("untuned", {})
    worse = [
        (of, name)
        for of, found in tuned.items()
        for name, error in found.items()
        if error > _WORSE * untuned.get(of, {}).get(name, np.inf)
    ]
    status: Status = "fail" if ("forces", "all") in worse else "warn" if worse else "pass"
    parts = ", ".join(f"{k} {v:.0f}" for k, v in tuned["forces"].items() if k != "all")
    said = ", ".join(name if of == "forces" else of for of, name in worse)
    reason = f"worse than untuned in {said}; " if worse else ""
    return Line(
        "parity",
        status,
        untuned=_in_words(untuned),
        tuned=_in_words(tuned),
        reason=f"{reason}over {len(frames)} frames; forces: {parts}",
        numbers={
            f"{stage}_{_SUFFIX[prop]}": found[prop.ase]
            for stage, found in errors.items()
            for prop in _SUFFIX
            if prop.ase in found
        },
    )


def labelled(case: Case) -> list[Atoms]:
    """Return up to twelve frames with forces as labels, evenly spread."""
    there = [a for a in case.frames if a.calc is not None and "forces" in a.calc.results]
    return [there[i] for i in evenly_spread(len(there), _MOST)]


def _groups(frames: list[Atoms]) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the atoms of all frames: by element, by composition and by size of the force."""
    labels = np.concatenate([a.calc.results["forces"] for a in frames])
    symbols = np.concatenate([np.array(list(a.symbols)) for a in frames])
    groups = {"all": np.ones(len(labels), bool)}
    groups |= {str(symbol): symbols == symbol for symbol in dict.fromkeys(symbols)}
    formulas = np.concatenate([np.full(len(a), a.get_chemical_formula()) for a in frames])
    if len(set(formulas)) > 1:
        groups |= {str(formula): formulas == formula for formula in dict.fromkeys(formulas)}
    norms = np.linalg.norm(labels, axis=1)
    low, high = np.quantile(norms, [1 / 3, 2 / 3])
    return groups | {
        "small forces": norms <= low,
        "medium forces": (norms > low) & (norms <= high),
        "large forces": norms > high,
    }


def _wrong(case: Case, calculator: Calculator, name: str) -> NDArray[np.float64]:
    """Return absolute errors, of energies per atom, joined over the frames that have the label."""
    found = []
    for atoms in labelled(case) if name in calculator.implemented_properties else ():
        if name in atoms.calc.results:
            case.look_up()
            off = np.array(calculator.get_property(name, bare(atoms))) - atoms.calc.results[name]
            found.append(np.atleast_1d(np.abs(off) / (len(atoms) if name == "energy" else 1)))
    return np.concatenate(found) if found else np.empty(0)


def _in_words(errors: dict[str, dict[str, float]]) -> str:
    return ", ".join(
        f"{errors[prop.ase]['all']:.{0 if prop is FORCES else 1}f} {prop.shown_unit}"
        for prop in _SUFFIX
        if prop.ase in errors
    )
