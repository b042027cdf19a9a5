"""Errors against labels, by element and by size of the force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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


def parity(case: Case) -> Line:
    """Compare forces with labels: overall, by element, composition and size (small, medium, large)."""
    frames = labelled(case)
    if not frames:
        return Line("parity", "skipped", reason="the frames have no labels")
    labels = np.concatenate([a.calc.results["forces"] for a in frames])
    symbols = np.concatenate([np.array(list(a.symbols)) for a in frames])
    groups = {"all": np.ones(len(labels), bool)}
    groups |= {str(symbol): symbols == symbol for symbol in dict.fromkeys(symbols)}
    formulas = np.concatenate([np.full(len(a), a.get_chemical_formula()) for a in frames])
    if len(set(formulas)) > 1:
        groups |= {str(formula): formulas == formula for formula in dict.fromkeys(formulas)}
    norms = np.linalg.norm(labels, axis=1)
    low, high = np.quantile(norms, [1 / 3, 2 / 3])
    groups |= {
        "small forces": norms <= low,
        "medium forces": (norms > low) & (norms <= high),
        "large forces": norms > high,
    }
    errors: dict[str, dict[str, float]] = {}
    for stage, calculator in case.calculators().items():
        wrong = np.abs(_forces(case, calculator) - labels)
        errors[stage] = {
            name: 1e3 * float(wrong[mask].mean()) for name, mask in groups.items() if mask.any()
        }
    tuned, untuned = errors["tuned"], errors.get("untuned", {})
    worse = [name for name, error in tuned.items() if error > _WORSE * untuned.get(name, np.inf)]
    status: Status = "fail" if "all" in worse else "warn" if worse else "pass"
    parts = ", ".join(f"{k} {v:.0f}" for k, v in tuned.items() if k != "all")
    reason = f"worse than untuned in {', '.join(worse)}; " if worse else ""
    return Line(
        "parity",
        status,
        untuned=f"{untuned['all']:.0f} meV/Å" if untuned else "",
        tuned=f"{tuned['all']:.0f} meV/Å",
        reason=f"{reason}over {len(frames)} frames; {parts}",
        numbers={f"{stage}_meV_per_A": values for stage, values in errors.items()},
    )


def labelled(case: Case) -> list[Atoms]:
    """Return up to twelve frames with forces as labels, evenly spread."""
    there = [a for a in case.frames if a.calc is not None and "forces" in a.calc.results]
    return [there[i] for i in evenly_spread(len(there), _MOST)]


def _forces(case: Case, calculator: Calculator) -> NDArray[np.float64]:
    found = []
    for atoms in labelled(case):
        case.look_up()
        found.append(np.array(calculator.get_property("forces", bare(atoms))))
    return np.concatenate(found)
