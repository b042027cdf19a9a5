"""Small files of real structures, labelled by an analytic potential."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

SHARED = Path(__file__).parents[3] / "shared" / "data"


def _labelled(atoms: Atoms) -> Atoms:
    """Return the structure with EMT's energy and forces, and its stress where it has one."""
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        results["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _copper(n: int, seed: int = 0) -> list[Atoms]:
    """Return `n` rattled cells of 1 to 8 copper atoms with labels."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(n):
        atoms = bulk("Cu", cubic=i % 2 == 0) * (1 + i % 2, 1, 1)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        frames.append(_labelled(atoms))
    return frames


@pytest.fixture
def copper() -> Callable[..., list[Atoms]]:
    """Return the function that makes labelled cells of copper."""
    return _copper


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keep indices of these tests out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def copper_xyz(copper, tmp_path) -> Path:
    """Write ten labelled frames of copper to an extended-XYZ file."""
    path = tmp_path / "copper.xyz"
    write(path, copper(10))
    return path


@pytest.fixture
def water() -> Atoms:
    """Return a molecule without a cell, labelled with made-up but finite numbers."""
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=-14.2, forces=np.full((3, 3), 0.1))
    return atoms


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real data; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    return SHARED
