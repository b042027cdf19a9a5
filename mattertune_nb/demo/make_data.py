"""Regenerate the bundled data: ``python -m mattertune_nb.demo.make_data [FOLDER]``.

Ethanol in the gas phase, GFN2-xTB (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652, 2019) with
the package ``tblite``, installed by ``pip install 'mattertune-nb[demo-data]'``. Four trajectories that share
nothing but the temperature; labels belong to the positions as printed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_extxyz
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

if TYPE_CHECKING:
    from ase import Atoms

TEMPERATURE = 600.0  # K
TIME_STEP = 0.5  # fs
EQUILIBRATION = 2000  # steps, 1 ps
INTERVAL = 60  # steps between two frames, 30 fs

# file: seed, initial dihedral H-O-C-C in degrees, and number of frames of each trajectory
TRAJECTORIES: dict[str, list[tuple[int, float, int]]] = {
    "train": [(1, 180.0, 80), (2, 60.0, 80)],
    "validation": [(3, -60.0, 40)],
    "test": [(4, 120.0, 60)],
}


def calculator() -> object:
    """Return the calculator for the labels: energy in eV, forces in eV/Å."""
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", accuracy=0.01, verbosity=0)


def trajectory(seed: int, dihedral: float, n_frames: int) -> list[Atoms]:
    """Run Langevin dynamics at 600 K and return labelled frames."""
    rng = np.random.default_rng(seed)
    atoms = molecule("CH3CH2OH")
    # C, C, O, H of the hydroxyl group: each trajectory starts in a different conformer
    atoms.set_dihedral(0, 1, 2, 3, dihedral, indices=[3])
    atoms.euler_rotate(*rng.uniform(0, 360, 3), center="COM")
    atoms.calc = calculator()
    thermalize_momenta(atoms, TEMPERATURE, rng=rng)
    dynamics = Langevin(
        atoms,
        TIME_STEP * units.fs,
        temperature_K=TEMPERATURE,
        friction=0.02 / units.fs,
        rng=rng,
        fixcm=False,
    )
    dynamics.run(EQUILIBRATION)
    frames = []
    for _ in range(n_frames):
        dynamics.run(INTERVAL)
        frames.append(label(atoms))
    return frames


def label(atoms: Atoms) -> Atoms:
    """Return the structure, its positions rounded to 1e-5 Å, with energy and forces."""
    frame = atoms.copy()
    frame.positions = np.round(frame.positions - frame.get_center_of_mass(), 5)
    frame.set_momenta(None)
    frame.calc = calculator()
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.calc = SinglePointCalculator(frame, energy=round(energy, 6), forces=np.round(forces, 5))
    return frame


def main(folder: Path) -> None:
    """Write all files to `folder`."""
    for name, runs in TRAJECTORIES.items():
        frames = [frame for run in runs for frame in trajectory(*run)]
        with (folder / f"ethanol_{name}.xyz").open("w") as file:
            write_extxyz(file, frames, write_results=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
