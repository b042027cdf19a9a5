"""Structures to measure on: oxides as in the field's data sets, small frames of mixed sizes."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator


def oxides(n_frames: int, seed: int = 0) -> list[Atoms]:
    """Return strained and rattled Li-Mn-O rocksalt cells of 8 to 32 atoms."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(n_frames):
        atoms = (
            bulk("MnO", "rocksalt", a=4.3, cubic=True) * ((1, 1, 1), (2, 1, 1), (2, 2, 1))[i % 3]
        )
        metals = np.flatnonzero(atoms.symbols == "Mn")
        atoms.symbols[rng.choice(metals, len(metals) // 2, replace=False)] = "Li"
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True
        )
        atoms.positions += rng.normal(scale=0.08, size=atoms.positions.shape)
        frames.append(atoms)
    return frames


def labelled(frames: list[Atoms], seed: int = 1) -> list[Atoms]:
    """Return the frames with labels of the right shape and size; what they say does not matter."""
    rng = np.random.default_rng(seed)
    for atoms in frames:
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=-6.0 * len(atoms) + rng.normal(),
            forces=rng.normal(scale=0.3, size=(len(atoms), 3)),
            stress=rng.normal(scale=0.01, size=6),
        )
    return frames
