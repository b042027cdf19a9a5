"""Prediction and dynamics, ours over the vendor's: ``python tests/benchmarks/bench_prediction.py``.

Aims: a third at most for 100 small frames, 1.0 at most for a step of molecular dynamics.
"""

from __future__ import annotations

import sys
import warnings

from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet
from structures import oxides
from timing import compare

import mattertune_nb as mt

warnings.simplefilter("ignore")
N_STEPS = 20


def main(backbones: list[str]) -> None:
    """Measure backbones by name."""
    for name in backbones or ["chgnet", "sevennet"]:
        config = {"chgnet": mt.CHGNetBackboneConfig, "sevennet": mt.SevenNetBackboneConfig}[name]()
        model = mt.FinetuneModuleBase(config).eval()
        vendor = config.vendor_calculator()
        frames = [atoms for atoms in oxides(300) if len(atoms) == 8]
        compare(
            f"{name}, predict 100 frames of 8 atoms",
            lambda model=model, frames=frames: model.property_predictor().predict(frames),
            lambda vendor=vendor, frames=frames: [loop(atoms, vendor) for atoms in frames],
            rounds=3,
        )
        for size in ((1, 1, 1), (2, 2, 2)):
            atoms = oxides(1)[0] * size
            compare(
                f"{name}, {N_STEPS} steps of dynamics with {len(atoms)} atoms",
                lambda atoms=atoms, model=model: dynamics(atoms, model.ase_calculator()),
                lambda atoms=atoms, vendor=vendor: dynamics(atoms, vendor),
                rounds=3,
            )


def loop(atoms: Atoms, calculator: Calculator) -> float:
    """Ask a calculator for energy, forces and stress."""
    atoms = atoms.copy()
    atoms.calc = calculator
    atoms.get_forces()
    atoms.get_stress()
    return float(atoms.get_potential_energy())


def dynamics(atoms: Atoms, calculator: Calculator) -> None:
    """Run a few steps at constant energy."""
    atoms = atoms.copy()
    atoms.calc = calculator
    VelocityVerlet(atoms, 1.0 * units.fs).run(N_STEPS)


if __name__ == "__main__":
    main(sys.argv[1:])
