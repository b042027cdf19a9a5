"""Small structures of many kinds, rattled and strained: what a potential knew besides what it is tuned on."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.build import bcc110, bulk, fcc111, molecule, surface
from ase.data import atomic_numbers, covalent_radii
from ase.spacegroup import crystal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

KIND = "kind"
"""Key of ``atoms.info`` under which a structure says of what kind it is."""

ELEMENTS, COMPOUNDS, MOLECULES = "elemental solids", "compounds", "molecules"
SURFACES, OWN = "surfaces", "the target's elements, otherwise composed"

_DISTORTIONS = ((0.03, 0.05), (0.05, 0.12))
"""Strain, and Å by which atoms are moved: one structure each."""

_MOST_OWN = 4
"""Elements of the target of which pairs are made; of more, those with most atoms."""


def foreign_structures(
    elements: Collection[str], target: Iterable[Atoms], seed: int = 0
) -> list[Atoms]:
    """Make structures of no composition that the target has, each distorted in two strengths.

    Parameters
    ----------
    elements
        Symbols that the potential knows; what holds another is left out.
    target
        What the potential is tuned on.
    seed
        Of the distortions.

    Returns
    -------
    list
        Structures without labels; ``info["kind"]`` says of what kind each is.
    """
    known, atoms_of = set(elements), Counter[str]()
    compositions = set()
    for atoms in target:
        compositions.add(_composition(atoms))
        atoms_of.update(atoms.symbols)
    own = [symbol for symbol, _ in atoms_of.most_common(_MOST_OWN)]
    rng = np.random.default_rng(seed)
    found = []
    for kind, prototype in (*_prototypes(), *_pairs(own)):
        # drawn for each, so that what is left out changes nothing of the others
        distorted = [_distorted(prototype, *how, rng) for how in _DISTORTIONS]
        if set(prototype.symbols) <= known and _composition(prototype) not in compositions:
            for atoms in distorted:
                atoms.info = {KIND: kind}
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
    cubic = {"spacegroup": 221, "cellpar": [3.905] * 3 + [90] * 3}
    yield COMPOUNDS, _plain(crystal(["Sr", "Ti", "O"], _PEROVSKITE, **cubic))
    rutile = {"spacegroup": 136, "cellpar": [4.594, 4.594, 2.959, 90, 90, 90]}
    yield COMPOUNDS, _plain(crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], **rutile))
    for name in ("H2O", "NH3", "CH4", "CO2", "C2H4", "SO2"):
        yield MOLECULES, molecule(name)
    yield SURFACES, _plain(fcc111("Al", (1, 1, 3), a=4.05, vacuum=6.0, periodic=True))
    yield SURFACES, _plain(bcc110("W", (1, 1, 3), a=3.16, vacuum=6.0, periodic=True))
    slab = surface(bulk("MgO", "rocksalt", a=4.21, cubic=True), (1, 0, 0), 1, vacuum=6.0)
    slab.pbc = True
    yield SURFACES, _plain(slab)


_PEROVSKITE = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]


def _pairs(symbols: Iterable[str]) -> Iterator[tuple[str, Atoms]]:
    """Yield rings of two atoms of each of two elements; crystals of light ones would be very dense."""
    for a, b in combinations(symbols, 2):
        side = 1.2 * sum(covalent_radii[atomic_numbers[symbol]] for symbol in (a, b))
        corners = [(0, 0, 0), (side, 0, 0), (side, side, 0), (0, side, 0)]
        yield OWN, Atoms([a, b, a, b], corners)


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _distorted(atoms: Atoms, strain: float, moved: float, rng: np.random.Generator) -> Atoms:
    atoms = atoms.copy()
    change = rng.uniform(-strain, strain, (3, 3))
    if atoms.pbc.any():
        atoms.set_cell(atoms.cell @ (np.eye(3) + (change + change.T) / 2), scale_atoms=True)
    atoms.positions += rng.normal(scale=moved, size=atoms.positions.shape)
    return atoms
