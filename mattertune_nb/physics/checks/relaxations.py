"""Relaxations: they converge from rattled structures, and nothing falls into a hole from dense ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.optimize import FIRE

from mattertune_nb.physics.checks.case import Clock, closest
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_TIME_RATTLED, _TIME_DENSE = 0.09, 0.14
_STARTS, _MOVED = 2, 0.1  # Å
_FMAX, _STEPS = 0.05, 150
_DENSE_STARTS, _DENSE_ATOMS, _DENSE_STEPS = 10, 8, 60
_ENOUGH = 5  # packings for a pass
_PACKED, _LEAST_VOLUME = 1.1, 4.0
"""Volume of a dense starting structure relative to spheres with covalent radii, and minimum volume per atom
in Å³: hydrogen's radius says little about its packing."""

_DRAWS = 20
"""Of this many, the structure with the largest closest approach is used."""

_FALLEN = 0.5
"""Fraction of the sum of covalent radii below which two atoms have fallen into each other."""


def relax(case: Case) -> Line:
    """Rattle a structure by 0.1 Å and relax its positions again."""
    rng, converged, fallen, cut = case.rng(), 0, 0, 0
    clock = Clock(_TIME_RATTLED * case.seconds)
    residual = 0.0
    for _ in range(_STARTS):
        atoms = case.start()
        atoms.positions += rng.normal(scale=_MOVED, size=atoms.positions.shape)
        done = _relaxed(case, atoms, case.tuned, _STEPS, clock)
        force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        residual = max(residual, force)
        fallen += closest(atoms) < _FALLEN
        converged += force < _FMAX
        cut += not done and force >= _FMAX
        if clock.is_over():
            break
    status: Status = "fail" if fallen else "warn" if cut else "pass"
    reason = f"largest force left {residual:.2g} eV/Å"
    if fallen:
        reason = f"in {fallen} two atoms fell into each other"
    elif cut:
        reason += f"; not below {_FMAX} within the available steps or time"
    return Line(
        "relax",
        status,
        tuned=f"{converged} of {converged + cut} converged",
        reason=reason,
        numbers={"converged": converged, "fallen": int(fallen), "force_eV_per_A": residual},
    )


def dense(case: Case) -> Line:
    """Relax random dense packings of the target's atoms; count those in which atoms fall into each other."""
    fallen: dict[str, list[bool]] = {}
    calculators = case.calculators()
    starts = [_packing(case, k) for k in range(_DENSE_STARTS)]
    for stage, calculator in calculators.items():
        clock = Clock(_TIME_DENSE * case.seconds / len(calculators))
        fallen[stage] = []
        for start in starts:
            atoms = start.copy()
            _relaxed(case, atoms, calculator, _DENSE_STEPS, clock)
            if fallen[stage] and clock.is_over():
                break  # one that was cut off is inconclusive
            is_lost = not np.isfinite(atoms.positions).all()
            fallen[stage].append(is_lost or closest(atoms) < _FALLEN)
    n_made = min(map(len, fallen.values()))
    shares = {stage: float(np.mean(found[:n_made])) for stage, found in fallen.items()}
    tuned, untuned = shares["tuned"], shares.get("untuned", 0.0)
    status: Status = "pass" if not tuned else "fail" if tuned > untuned else "warn"
    reason = {
        "pass": "none fell into a hole",
        "warn": "no more than untuned",
        "fail": "more fall into holes than untuned: beware of high pressure and of random structure searches",
    }[status]
    if status == "pass" and n_made < _ENOUGH:
        status, reason = "warn", "too few to tell, more seconds are needed"
    return Line(
        "dense",
        status,
        untuned=f"{100 * shares['untuned']:.0f} %" if "untuned" in shares else "",
        tuned=f"{100 * tuned:.0f} %",
        reason=f"of {n_made} {'packing' if n_made == 1 else 'packings'}; {reason}",
        numbers={f"{stage}_share": share for stage, share in shares.items()} | {"n": n_made},
    )


def _packing(case: Case, k: int) -> Atoms:
    """Return a few atoms of the target at random positions in a small periodic cell."""
    rng = np.random.default_rng((case.seed, k))
    numbers = case.start().numbers
    chosen = rng.choice(numbers, min(_DENSE_ATOMS, max(len(numbers), 4)))
    radii = covalent_radii[chosen]
    spheres = float((4 / 3 * np.pi * radii**3).sum())
    side = max(_PACKED * spheres, _LEAST_VOLUME * len(chosen)) ** (1 / 3)
    drawn = (
        Atoms(chosen, rng.uniform(0, side, (len(chosen), 3)), cell=[side] * 3, pbc=True)
        for _ in range(_DRAWS)
    )
    return max(drawn, key=closest)


def _relaxed(case: Case, atoms: Atoms, calculator: Calculator, steps: int, clock: Clock) -> bool:
    """Relax positions; return whether this converged before steps or time ran out."""
    atoms.calc = calculator
    optimizer = FIRE(atoms, logfile=None, maxstep=0.1)
    for converged in optimizer.irun(fmax=_FMAX, steps=steps):
        case.look_up()
        if converged:
            return True
        if clock.is_over() or not np.isfinite(atoms.positions).all():
            return False
    return False
