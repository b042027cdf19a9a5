"""Phonons of a crystal by phonopy: there should be no imaginary modes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.physics.checks.case import seconds_of
from mattertune_nb.physics.checks.crystal import NoCrystal, crystal
from mattertune_nb.physics.curves import Curves
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_TIME = 0.06
"""Fraction of the time of all checks, for each of the two potentials."""

_LENGTHS, _MOST_ATOMS = (10.0, 8.0, 6.0, 0.0), 250
"""Length in Å of a supercell in each direction, the largest affordable one is used, and its maximum atoms."""

_MOVED = 0.01  # Å
_IMAGINARY = -0.3  # THz; below this it is not noise
_OTHER = 1.2
_MESH, _BROAD, _POINTS = 30.0, 0.15, 121  # Å, THz


def phonons(case: Case) -> Line:
    """Displace atoms of the relaxed crystal one by one and compute its frequencies."""
    if find_spec("phonopy") is None:
        said = "needs phonopy: pip install 'mattertune-nb[phonons]'"
        return Line("phonons", "skipped", reason=said)
    found: dict[str, Any] = {}
    try:
        for stage, calculator in case.calculators().items():
            found[stage] = vibrations(case, crystal(case, stage), calculator)
    except NoCrystal as exc:
        return Line("phonons", "skipped", reason=str(exc))
    lowest = {stage: float(lowest_of(phonon)) for stage, phonon in found.items()}
    grid = np.linspace(
        min(0.0, *lowest.values()),
        1.05 * max(float(highest_of(p)) for p in found.values()),
        _POINTS,
    )
    densities = {stage: _density(phonon, grid) for stage, phonon in found.items()}
    highest = {stage: float(highest_of(phonon)) for stage, phonon in found.items()}
    status, said = _judged(lowest, highest)
    shown = {s: f"{lowest[s]:.2f} to {highest[s]:.1f} THz" for s in found}
    n_atoms = len(found["tuned"].supercell)
    return Line(
        "phonons",
        status,
        untuned=shown.get("untuned", ""),
        tuned=shown["tuned"],
        reason=f"{said}; for a supercell of {n_atoms} atoms; negative means imaginary",
        numbers={
            **{f"{stage}_lowest_THz": value for stage, value in lowest.items()},
            **{f"{stage}_highest_THz": value for stage, value in highest.items()},
            "supercell_atoms": n_atoms,
        },
        curves=Curves(
            "frequency (THz)", "phonon density of states (1/THz)", grid.tolist(), densities
        ),
    )


def vibrations(case: Case, atoms: Atoms, calculator: Calculator) -> Any:
    """Return phonopy's object with the force constants of a crystal.

    Parameters
    ----------
    case
        Gives the available time, and whether to end.
    atoms
        The crystal, relaxed and symmetric.
    calculator
        Its potential.

    Raises
    ------
    NoCrystal
        There is no time for any supercell.
    """
    per_atom, needed = seconds_of(calculator, atoms, "forces") / len(atoms), 0.0
    for length in _LENGTHS:
        phonon = _prepared(atoms, length)
        cells = phonon.supercells_with_displacements
        needed = per_atom * len(phonon.supercell) * len(cells)
        if len(phonon.supercell) <= _MOST_ATOMS and needed < _TIME * case.seconds:
            break
    else:
        msg = f"{len(cells)} displacements of {len(cells[0])} atoms would take some {needed:.0f} s"
        raise NoCrystal(msg)
    forces = []
    for cell in cells:
        case.look_up()
        forces.append(np.array(calculator.get_property("forces", _of_ase(cell))))
    phonon.forces = forces
    phonon.produce_force_constants(show_drift=False)
    phonon.symmetrize_force_constants()
    return phonon


def lowest_of(phonon: Any) -> float:
    """Return the lowest frequency in THz at the wave vectors commensurate with the supercell."""
    return float(_frequencies(phonon).min())


def highest_of(phonon: Any) -> float:
    """Return the highest frequency in THz at the wave vectors commensurate with the supercell."""
    return float(_frequencies(phonon).max())


def _frequencies(phonon: Any) -> Any:
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    matrix = np.linalg.inv(phonon.primitive_matrix) @ phonon.supercell_matrix
    phonon.run_qpoints(get_commensurate_points(np.rint(matrix).astype(int)))
    return phonon.get_qpoints_dict()["frequencies"]


def _prepared(atoms: Atoms, length: float) -> Any:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    repeats = np.maximum(np.ceil(length / atoms.cell.lengths()), 1).astype(int)
    cell = PhonopyAtoms(
        symbols=list(atoms.symbols),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
    )
    phonon = Phonopy(cell, np.diag(repeats), primitive_matrix="auto", symprec=1e-4)
    phonon.generate_displacements(distance=_MOVED)
    return phonon


def _of_ase(cell: Any) -> Atoms:
    from ase import Atoms

    return Atoms(cell.symbols, positions=cell.positions, cell=cell.cell, pbc=True)


def _density(phonon: Any, grid: Any) -> list[float]:
    phonon.run_mesh(_MESH)
    mesh = phonon.get_mesh_dict()
    away = (grid[:, None, None] - mesh["frequencies"][None]) / _BROAD
    each = np.exp(-0.5 * away**2).sum(axis=2) / (_BROAD * np.sqrt(2 * np.pi))
    weights = np.asarray(mesh["weights"], dtype=float)
    return [float(v) for v in each @ weights / weights.sum()]


def _judged(lowest: dict[str, float], highest: dict[str, float]) -> tuple[Status, str]:
    if lowest["tuned"] < _IMAGINARY:
        if lowest.get("untuned", -np.inf) >= _IMAGINARY:
            return (
                "fail",
                "imaginary modes that the untuned model does not have: the crystal is unstable",
            )
        return (
            "warn",
            "imaginary modes: the crystal is not at a minimum, in reality or because of the model",
        )
    before = highest.get("untuned")
    if before and not 1 / _OTHER < highest["tuned"] / before < _OTHER:
        return (
            "warn",
            "the highest frequency is far from that of the untuned model: which is right?",
        )
    return "pass", "none is imaginary"
