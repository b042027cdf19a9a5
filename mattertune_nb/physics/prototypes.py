"""Small structures of many kinds, rattled and strained: what a potential knew besides its target."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.build import bcc110, bulk, fcc111, molecule, surface
from ase.collections import g2
from ase.data import atomic_numbers, covalent_radii
from ase.spacegroup import crystal

from mattertune_nb.physics.kinds import COMPOUNDS, ELEMENTS, KIND, MOLECULES, OWN, SURFACES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_DISTORTIONS = ((0.03, 0.05), (0.05, 0.12))
"""Strain, and Å by which atoms are moved: one structure each, of crystals for replay two."""

_LARGEST_MOLECULE = 8  # atoms

_MOST_OWN = 4
"""Elements of the target from which pairs are made; if there are more, those with the most atoms."""


def foreign_structures(
    elements: Collection[str], target: Iterable[Atoms], seed: int = 0, *, for_replay: bool = False
) -> list[Atoms]:
    """Generate structures with compositions absent from the target, each distorted to several degrees.

    Parameters
    ----------
    elements
        Symbols that the potential knows; structures with others are left out.
    target
        Structures of the target.
    seed
        Seed of the distortions.
    for_replay
        Whether to generate additional structures with other compositions, distinct from those generated
        otherwise and never made only of the target's elements, for which the target data should decide.

    Returns
    -------
    list
        Structures without labels; ``info["kind"]`` gives the kind of each.
    """
    known, atoms_of = set(elements), Counter[str]()
    compositions = set()
    for atoms in target:
        compositions.add(_composition(atoms))
        atoms_of.update(atoms.symbols)
    own = [symbol for symbol, _ in atoms_of.most_common(_MOST_OWN)]
    rng = np.random.default_rng(seed)
    found = []
    made = measured = [*_prototypes(), *_rings(own)]
    if for_replay:
        made = [*_others(), *_molecules()]
        compositions |= {_composition(prototype) for _, prototype in measured}
    for kind, prototype in made:
        # drawn separately for each, so that leaving one out changes nothing for the others
        strengths = _DISTORTIONS * (2 if for_replay and kind != MOLECULES else 1)
        distorted = [_distorted(prototype, *how, rng) for how in strengths]
        symbols = set(prototype.symbols)
        if symbols <= known and _composition(prototype) not in compositions:
            for atoms in () if for_replay and symbols <= atoms_of.keys() else distorted:
                atoms.info = {KIND: OWN if symbols <= atoms_of.keys() else kind}
                found.append(atoms)
    return found


def _composition(atoms: Atoms) -> str:
    return str(atoms.symbols.formula.reduce()[0].format("metal"))


def _prototypes() -> Iterator[tuple[str, Atoms]]:
    yield ELEMENTS, bulk("Si", "diamond", a=5.43)
    yield ELEMENTS, bulk("Cu", "fcc", a=3.61, cubic=True)
    yield ELEMENTS, bulk("Fe", "bcc", a=2.87, cubic=True)
    yield ELEMENTS, bulk("Li", "bcc", a=3.51, cubic=True)
    yield ELEMENTS, bulk("Ti", "hcp", a=2.95, c=4.68)
    yield COMPOUNDS, bulk("NaCl", "rocksalt", a=5.64)
    yield COMPOUNDS, bulk("MgO", "rocksalt", a=4.21)
    yield COMPOUNDS, bulk("CsCl", "cesiumchloride", a=4.12)
    yield COMPOUNDS, bulk("ZnS", "zincblende", a=5.41)
    yield COMPOUNDS, bulk("GaN", "wurtzite", a=3.19, c=5.19)
    yield COMPOUNDS, bulk("CaF2", "fluorite", a=5.46)
    yield COMPOUNDS, _perovskite("SrTiO", 3.905)
    yield COMPOUNDS, _rutile("Ti", 4.594, 2.959)
    for name in ("H2O", "NH3", "CH4", "CO2", "C2H4", "SO2"):
        yield MOLECULES, molecule(name)
    yield SURFACES, _plain(fcc111("Al", (1, 1, 3), a=4.05, vacuum=6.0, periodic=True))
    yield SURFACES, _plain(bcc110("W", (1, 1, 3), a=3.16, vacuum=6.0, periodic=True))
    yield SURFACES, _slab("MgO", 4.21)


def _others() -> Iterator[tuple[str, Atoms]]:
    yield ELEMENTS, bulk("Ge", "diamond", a=5.66)
    yield ELEMENTS, bulk("Ag", "fcc", a=4.09, cubic=True)
    yield ELEMENTS, bulk("Cr", "bcc", a=2.88, cubic=True)
    yield ELEMENTS, bulk("K", "bcc", a=5.33, cubic=True)
    yield ELEMENTS, bulk("Zr", "hcp", a=3.23, c=5.15)
    yield ELEMENTS, bulk("C", "diamond", a=3.57)
    yield COMPOUNDS, bulk("KBr", "rocksalt", a=6.60)
    yield COMPOUNDS, bulk("LiF", "rocksalt", a=4.03)
    yield COMPOUNDS, bulk("NiO", "rocksalt", a=4.18)
    yield COMPOUNDS, bulk("TlCl", "cesiumchloride", a=3.84)
    yield COMPOUNDS, bulk("GaAs", "zincblende", a=5.65)
    yield COMPOUNDS, bulk("ZnO", "wurtzite", a=3.25, c=5.21)
    yield COMPOUNDS, bulk("CeO2", "fluorite", a=5.41)
    yield COMPOUNDS, _perovskite("BaZrO", 4.19)
    yield COMPOUNDS, _rutile("Sn", 4.737, 3.186)
    yield SURFACES, _plain(fcc111("Pt", (1, 1, 3), a=3.92, vacuum=6.0, periodic=True))
    yield SURFACES, _plain(bcc110("Mo", (1, 1, 3), a=3.15, vacuum=6.0, periodic=True))
    yield SURFACES, _slab("CaO", 4.81)


def _molecules() -> Iterator[tuple[str, Atoms]]:
    """Yield the small closed-shell molecules of a set provided by ASE."""
    for name in g2.names:
        atoms = molecule(name)
        if 1 < len(atoms) <= _LARGEST_MOLECULE and not atoms.get_initial_magnetic_moments().any():
            yield MOLECULES, _plain(atoms)


def _perovskite(symbols: str, a: float) -> Atoms:
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    species = list(Atoms(symbols).symbols)
    return _plain(crystal(species, sites, spacegroup=221, cellpar=[a, a, a, 90, 90, 90]))


def _rutile(metal: str, a: float, c: float) -> Atoms:
    sites = [(0, 0, 0), (0.305, 0.305, 0)]
    return _plain(crystal([metal, "O"], sites, spacegroup=136, cellpar=[a, a, c, 90, 90, 90]))


def _slab(symbols: str, a: float) -> Atoms:
    slab = surface(bulk(symbols, "rocksalt", a=a, cubic=True), (1, 0, 0), 1, vacuum=6.0)
    slab.pbc = True
    return _plain(slab)


def _rings(symbols: Iterable[str]) -> Iterator[tuple[str, Atoms]]:
    """Yield rings of two atoms of each of two elements; crystals of light elements would be very dense."""
    for a, b in combinations(symbols, 2):
        side = 1.2 * _bond(a, b)
        corners = [(0, 0, 0), (side, 0, 0), (side, side, 0), (0, side, 0)]
        yield OWN, Atoms([a, b, a, b], corners)


def _bond(a: str, b: str) -> float:
    return float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in (a, b)))


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _distorted(atoms: Atoms, strain: float, moved: float, rng: np.random.Generator) -> Atoms:
    atoms = atoms.copy()
    change = rng.uniform(-strain, strain, (3, 3))
    if atoms.pbc.any():
        atoms.set_cell(atoms.cell @ (np.eye(3) + (change + change.T) / 2), scale_atoms=True)
    atoms.positions += rng.normal(scale=moved, size=atoms.positions.shape)
    return atoms
