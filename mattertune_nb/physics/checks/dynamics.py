"""Molecular dynamics: energy is conserved, and nothing explodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.geometry import get_distances
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet

from mattertune_nb.config.properties import ENERGY
from mattertune_nb.config.unbroken import with_minus
from mattertune_nb.physics.checks.case import Clock, bare, closest
from mattertune_nb.physics.scorecard import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from ase.md.md import MolecularDynamics

    from mattertune_nb.physics.checks.case import Case
    from mattertune_nb.physics.scorecard import Status

_NVE, _NVT = 1.0, 5.0
"""Maximum ps of each."""

_NVE_TIME, _NVT_TIME = 0.10, 0.22
"""Fraction of the time of all checks."""

_SETTLED = 0.25  # fraction of the run in which kinetic energy becomes potential energy
_DRIFT = 1.0, 10.0  # meV/atom/ps
_LEAST = 20  # minimum steps for a conclusion
_SHORT, _ENOUGH = 0.1, 1.0  # ps with a thermostat, minimum for a conclusion and for a pass
_UNDECIDED = "too short to tell, more seconds are needed"
_CLOSE = 0.45  # relative to the sum of covalent radii
_HOT = 5.0  # times the temperature
_LOST = 6.0  # Å to the nearest other atom


def time_step(atoms: Atoms) -> float:
    """Return the time step in fs: half as long with hydrogen, which vibrates fast."""
    return 0.5 if 1 in atoms.numbers else 1.0


def nve(case: Case) -> Line:
    """Run dynamics without a thermostat, and fit the drift of the total energy."""
    drift, unsure, length = {}, {}, {}
    for stage, calculator in case.calculators().items():
        atoms = case.start()
        atoms.calc = calculator
        _set_moving(atoms, case)
        energies: list[float] = []
        dynamics = VelocityVerlet(atoms, timestep=time_step(atoms) * units.fs)

        def note(atoms: Atoms = atoms, energies: list[float] = energies) -> None:
            energies.append(float(atoms.get_total_energy()) / len(atoms))

        share = _NVE_TIME * case.seconds / len(case.calculators())
        _run(dynamics, case, note, _NVE, share)
        if len(energies) < _LEAST and np.isfinite(energies).all():
            steps = "1 step" if len(energies) == 1 else f"{len(energies)} steps"
            return Line("nve", "skipped", reason=f"there was time for {steps} only")
        drift[stage], unsure[stage] = _slope(energies, time_step(atoms))
        length[stage] = len(energies)
    value = drift["tuned"]
    status, said = _judged(abs(value), unsure["tuned"])
    ps = 1e-3 * time_step(case.start()) * length["tuned"]
    return Line(
        "nve",
        status,
        untuned=f"{_rounded(drift['untuned'])} {ENERGY.shown_unit}/ps"
        if "untuned" in drift
        else "",
        tuned=f"{_rounded(value)} ± {_rounded(unsure['tuned'])} {ENERGY.shown_unit}/ps",
        reason=f"drift over {ps:.2g} ps from {case.temperature:.0f} K{said}; up to {_DRIFT[0]:g} passes",
        numbers={f"{k}_meV_per_atom_per_ps": v for k, v in drift.items()} | {"ps": ps},
    )


def _judged(drift: float, unsure: float) -> tuple[Status, str]:
    """Return the status for the size of a drift, and what is to be added to its reason.

    A short run says little: a drift within the fluctuations of the energy neither fails nor passes.
    """
    if not drift - unsure <= _DRIFT[1]:
        return "fail", ""
    if drift - unsure > _DRIFT[0]:
        return "warn", ""
    return ("pass", "") if max(drift, unsure) <= _DRIFT[0] else ("warn", f", {_UNDECIDED}")


def _rounded(value: float) -> str:
    return with_minus(f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}")


def _slope(energies: list[float], step: float) -> tuple[float, float]:
    """Return the drift of energies (eV/atom) `step` fs apart, in meV/atom/ps, and its uncertainty.

    The latter is the fluctuation of the energies around the fit divided by the length of the run.
    """
    kept = np.array(energies[int(_SETTLED * len(energies)) :])
    if not np.isfinite(kept).all():
        return float("nan"), 0.0
    time = 1e-3 * step * np.arange(len(kept))
    fit = np.polyfit(time, kept, 1)
    swing = float(np.std(kept - np.polyval(fit, time)))
    return 1e3 * float(fit[0]), 1e3 * swing / float(time[-1])


@dataclass
class Heated:
    """Record of a run with a thermostat.

    Attributes
    ----------
    temperatures
        In K, after each step.
    closest
        Smallest distance of two atoms over the sum of their covalent radii.
    frames
        Every tenth structure.
    wrong
        Why the run was ended; empty if nothing went wrong.
    """

    temperatures: list[float] = field(default_factory=list)
    closest: float = float("inf")
    frames: list[Atoms] = field(default_factory=list)
    wrong: str = ""


def heated(case: Case) -> Heated:
    """Run the tuned model with a thermostat for some ps; the run is shared by all checks."""
    return case.once("heated", lambda: _heated(case))


def _heated(case: Case) -> Heated:
    atoms = case.start()
    atoms.calc = case.tuned
    _set_moving(atoms, case)
    seen = Heated()
    dynamics = Langevin(
        atoms,
        timestep=time_step(atoms) * units.fs,
        temperature_K=case.temperature,
        friction=0.02 / units.fs,
        rng=np.random.RandomState(case.seed),
        fixcm=False,
    )

    def note() -> None:
        seen.temperatures.append(float(atoms.get_temperature()))
        if len(seen.temperatures) % 10 == 1:
            seen.closest = min(seen.closest, closest(atoms))
            seen.frames.append(bare(atoms))
            seen.wrong = _wrong(atoms, seen, case.temperature)

    _run(dynamics, case, note, _NVT, _NVT_TIME * case.seconds, stop=lambda: bool(seen.wrong))
    return seen


def nvt(case: Case) -> Line:
    """Check a run with a thermostat: atoms neither come too close, nor leave, nor heat up."""
    seen = heated(case)
    ps = 1e-3 * time_step(case.start()) * len(seen.temperatures)
    mean = float(np.mean(seen.temperatures[len(seen.temperatures) // 2 :]))
    if ps < _SHORT and not seen.wrong:
        said = f"there was time for {ps:.2g} ps only, {_SHORT:g} are needed"
        return Line("nvt", "skipped", reason=said)
    short = ps < _ENOUGH and not seen.wrong
    said = seen.wrong or "nothing explodes" + (f", {_UNDECIDED}" if short else "")
    return Line(
        "nvt",
        "fail" if seen.wrong else "warn" if short else "pass",
        tuned=f"{mean:.0f} K, {ps:.2g} ps",
        reason=f"{said}; nearest two atoms at {seen.closest:.2f} of their covalent radii",
        numbers={"ps": ps, "mean_K": mean, "closest": seen.closest},
    )


def _wrong(atoms: Atoms, seen: Heated, temperature: float) -> str:
    if not np.isfinite(atoms.positions).all() or not np.isfinite(seen.temperatures[-1]):
        return "positions became infinite"
    recent = float(np.mean(seen.temperatures[-10:]))
    if recent > _HOT * temperature:
        return f"heated up to {recent:.0f} K"
    if seen.closest < _CLOSE:
        return "two atoms fell into each other"
    if len(atoms) > 1:
        _, d = get_distances(atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        np.fill_diagonal(d, np.inf)
        if d.min(axis=1).max() > _LOST:
            return "an atom left"
    return ""


def _set_moving(atoms: Atoms, case: Case) -> None:
    MaxwellBoltzmannDistribution(atoms, temperature_K=case.temperature, rng=case.rng())
    Stationary(atoms)


def _run(
    dynamics: MolecularDynamics,
    case: Case,
    note: Callable[[], None],
    ps: float,
    seconds: float,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Make steps until either time limit is reached, or `stop` says so."""
    clock = Clock(seconds)
    step = time_step(dynamics.atoms)
    for _ in range(round(1e3 * ps / step)):
        dynamics.run(1)
        note()
        case.look_up()
        if clock.is_over() or stop():
            return
