"""Small structures that are difficult for a backbone in different ways, and small changes to them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.data import atomic_numbers, covalent_radii
from ase.stress import voigt_6_to_full_3x3_stress

from mattertune_nb.backbones.graph import neighbor_graph

_TIE = 1e-3
"""Å; distances that differ by less than this can change order when a structure changes slightly."""


def hard_structures(first: str, second: str) -> dict[str, Atoms]:
    """Return small structures of two elements that are difficult in different ways."""
    radii = covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]
    close = 2 * covalent_radii[atomic_numbers[first]]
    crystal = bulk(first + second, "rocksalt", a=2.2 * radii, cubic=True)
    crystal.rattle(0.08, seed=1)
    crystal.set_cell(
        crystal.cell.array
        @ (np.eye(3) + np.array([[0.02, 0.03, 0], [0, -0.01, 0.02], [0, 0, 0.01]])),
        scale_atoms=True,
    )
    small = Atoms(
        [first, second],
        [[0, 0, 0], [0.55 * radii, 0.6 * radii, 0.7 * radii]],
        cell=np.diag([1.15, 1.3, 1.5]) * radii,
        pbc=True,
    )
    slab = fcc111(first, (2, 1, 3), a=close * np.sqrt(2), vacuum=10, periodic=False)
    slab.rattle(0.08, seed=2)
    molecule = Atoms(
        [first, second, second],
        radii * np.array([[0, 0, 0], [1.05, 0.1, 0], [-0.3, 0.95, 0.2]]),
    )
    one = bulk(first, "fcc", a=1.02 * close * np.sqrt(2))
    one.set_cell(one.cell.array * [1, 1.02, 0.97], scale_atoms=True)
    return {
        "crystal": crystal,
        "one-atom cell": one,
        "small cell": small,
        "slab": slab,
        "molecule": molecule,
        "atom alone": Atoms(first),
    }


def is_tied(atoms: Atoms, cutoff: float, most: int | None) -> bool:
    """Return whether an atom has `most` neighbours, the last as far away as the first one left out."""
    if most is None:
        return False
    graph = neighbor_graph(atoms, cutoff)
    centre, lengths = graph.edge_index[0], graph.lengths()
    for atom in range(len(atoms)):
        near = lengths[centre == atom].sort().values
        if len(near) > most and near[most] - near[most - 1] < _TIE:
            return True
    return False


def in_a_box(atoms: Atoms, cutoff: float) -> Atoms:
    """Return a copy that is periodic in all directions, with vacuum along those that were not."""
    boxed = atoms.copy()
    for axis in np.flatnonzero(~atoms.pbc):
        boxed.center(vacuum=cutoff + 1, axis=int(axis))
    boxed.pbc = True
    return boxed


def moved(atoms: Atoms, atom: int, axis: int, distance: float) -> Atoms:
    """Return a copy with one atom moved along a Cartesian axis, in Å."""
    out = atoms.copy()
    out.positions[atom, axis] += distance
    return out


def strained(atoms: Atoms, component: int, amount: float) -> Atoms:
    """Return a copy strained along one of the Voigt components."""
    out = atoms.copy()
    strain = np.zeros(6)
    strain[component] = amount if component < 3 else amount / 2
    # shears are counted once, as in a stress
    matrix = np.eye(3) + voigt_6_to_full_3x3_stress(strain)
    out.set_cell(atoms.cell.array @ matrix, scale_atoms=True)
    return out
