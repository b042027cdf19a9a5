"""Properties of any potential: forces are gradients, and neither orientation nor order of atoms matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.physics.checks.case import bare
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_STEP = 1e-3  # Å
_COMPONENTS = 6
_GRADIENT = 2.0, 20.0  # meV/Å; limits for pass and warning
_FORCES = 1.0, 10.0  # meV/Å
_ENERGY = 0.05, 1.0  # meV/atom


def gradient(case: Case) -> Line:
    """Compare forces with central differences of the energy, in double precision."""
    worst = {stage: _off(case, c) for stage, c in (case.calculators() | case.precise).items()}
    tuned = worst["tuned"]
    return Line(
        "gradient",
        _status(tuned, _GRADIENT),
        untuned=f"{worst['untuned']:.2g} {FORCES.shown_unit}" if "untuned" in worst else "",
        tuned=f"{tuned:.2g} {FORCES.shown_unit}",
        reason=f"largest difference over {_COMPONENTS} components"
        + ("" if tuned <= _GRADIENT[0] else "; energy will not be conserved"),
        numbers={f"{stage}_difference_meV_per_A": value for stage, value in worst.items()},
    )


def _off(case: Case, calculator: Calculator) -> float:
    """Return the largest difference between a force and the slope of the energy, in meV/Å."""
    rng, worst = case.rng(), 0.0
    for atoms in (case.start(), bare(case.frames[-1])):
        forces = calculator.get_property("forces", atoms).copy()
        for _ in range(_COMPONENTS // 2):
            case.look_up()
            i, k = int(rng.integers(len(atoms))), int(rng.integers(3))
            energies = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[i, k] += sign * _STEP
                energies.append(float(calculator.get_property("energy", moved)))
            slope = -(energies[0] - energies[1]) / (2 * _STEP)
            worst = max(worst, 1e3 * abs(slope - float(forces[i, k])))
    return worst


def rotation(case: Case) -> Line:
    """Rotate a structure at random: the energy is unchanged, and forces rotate with it."""
    atoms = case.start()
    turn = Rotation.random(rng=case.seed).as_matrix()
    turned = atoms.copy()
    turned.positions = atoms.positions @ turn.T
    turned.cell = atoms.cell.array @ turn.T
    return _compared("rotation", case, atoms, turned, lambda forces: forces @ turn.T)


def permutation(case: Case) -> Line:
    """Reorder the atoms: the energy is unchanged, and forces follow their atoms."""
    atoms = case.start()
    order = case.rng().permutation(len(atoms))
    return _compared("permutation", case, atoms, atoms[order], lambda forces: forces[order])


def size(case: Case) -> Line:
    """Compare two copies, side by side if periodic and far apart if not, with twice one."""
    atoms = case.start()
    if atoms.pbc.any():
        axis = int(np.argmax(atoms.pbc))
        double = atoms.repeat([2 if k == axis else 1 for k in range(3)])
    else:
        double, far = atoms.copy(), atoms.copy()
        far.positions[:, 0] += np.ptp(atoms.positions[:, 0]) + 30.0
        double += far
    return _compared("size", case, atoms, double, lambda f: np.concatenate([f, f]), copies=2)


def _compared(
    name: str,
    case: Case,
    atoms: Atoms,
    other: Atoms,
    expected: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    copies: int = 1,
) -> Line:
    off: dict[str, tuple[float, float]] = {}
    for stage, calculator in case.calculators().items():
        case.look_up()
        energy, forces = (calculator.get_property(p, atoms) for p in ("energy", "forces"))
        wanted = expected(np.array(forces))
        energy = copies * float(energy)
        after, found = (calculator.get_property(p, other) for p in ("energy", "forces"))
        of_energy = 1e3 * abs(float(after) - energy) / len(other)
        off[stage] = of_energy, 1e3 * float(np.abs(np.array(found) - wanted).max())
    in_words = {
        stage: f"{e:.2g} {ENERGY.shown_unit}, {f:.2g} {FORCES.shown_unit}"
        for stage, (e, f) in off.items()
    }
    of_energy, of_forces = off["tuned"]
    statuses = [_status(of_energy, _ENERGY), _status(of_forces, _FORCES)]
    status = next(s for s in ("fail", "warn", "pass") if s in statuses)
    return Line(
        name,
        status,
        untuned=in_words.get("untuned", ""),
        tuned=in_words["tuned"],
        reason="differences of the energy and of the worst force, which should be zero",
        numbers={
            f"{stage}_{name}": value
            for stage, values in off.items()
            for name, value in zip(("energy_meV_per_atom", "forces_meV_per_A"), values, strict=True)
        },
    )


def _status(value: float, limits: tuple[float, float]) -> Status:
    if not value <= limits[1]:
        return "fail"
    return "pass" if value <= limits[0] else "warn"
