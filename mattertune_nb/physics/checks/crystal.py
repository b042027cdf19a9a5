"""The crystal of a potential: a target structure, relaxed with its cell."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.spacegroup.symmetrize import refine_symmetry

from mattertune_nb.physics.checks.case import Clock

if TYPE_CHECKING:
    from ase import Atoms

    from mattertune_nb.physics.checks.case import Case

_TIME = 0.05
"""Fraction of the time of all checks, for each of the two potentials."""

_FMAX, _STEPS = 0.01, 300  # eV/Å, for the cell as ASE counts it
_SYMMETRIC = 0.02  # Å, tolerance for symmetric positions


class NoCrystal(Exception):  # noqa: N818  it is no error
    """The target has no crystal, or it was not found in the available time."""


def crystal(case: Case, stage: str) -> Atoms:
    """Return the starting structure of the dynamics, relaxed with its cell and symmetrised.

    Parameters
    ----------
    case
        The potentials and the structures.
    stage
        ``untuned`` or ``tuned``.

    Raises
    ------
    NoCrystal
        It is not periodic in three directions, or does not relax in time.
    """
    found = case.once(f"crystal {stage}", lambda: _relaxed(case, stage))
    if isinstance(found, str):
        raise NoCrystal(found)
    return found.copy()


def _relaxed(case: Case, stage: str) -> Atoms | str:
    atoms = case.start()
    if not atoms.pbc.all():
        return "not periodic in three directions"
    atoms.calc = case.calculators()[stage]
    clock, volume = Clock(_TIME * case.seconds), atoms.get_volume()
    for converged in FIRE(FrechetCellFilter(atoms), logfile=None).irun(fmax=_FMAX, steps=_STEPS):
        case.look_up()
        if converged:
            break
        changed = atoms.get_volume() / volume
        if not np.isfinite(atoms.positions).all() or not 0.5 < changed < 2:
            return f"{stage}, the cell does not relax to a nearby one"
        if clock.is_over():
            break
    force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    if not converged:
        return (
            f"{stage}, it did not relax within {_TIME * case.seconds:.0f} s (a force of {force:.2g} eV/Å is "
            f"left); more seconds, or smaller structures as data, may help"
        )
    atoms.calc = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refine_symmetry(atoms, _SYMMETRIC)
    return atoms
