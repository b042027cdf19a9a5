"""What every viewer draws: bonds as ASE finds them, supercells as ASE repeats them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import natural_cutoffs, neighbor_list

from mattertune_nb.widgets.views.scene import MAX_ATOMS, bonds, largest_supercell, scene_of
from mattertune_nb.widgets.views.shown import Shown


@pytest.mark.parametrize("name", ["H2O", "CH3CH2OH", "C6H6"])
def test_bonds_of_a_molecule_are_those_of_ase(name):
    atoms = molecule(name)
    i, j = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=1.2))
    assert {tuple(pair) for pair in bonds(atoms).tolist()} == {
        (a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True) if a < b
    }


def test_metals_are_not_bonded_to_each_other_but_to_oxygen():
    assert len(bonds(bulk("Cu", cubic=True))) == 0
    assert len(bonds(bulk("Si", cubic=True))) > 0
    oxide = bulk("MgO", "rocksalt", a=4.21, cubic=True)
    pairs = bonds(oxide)
    assert len(pairs) > 0
    symbols = np.array(oxide.get_chemical_symbols())[pairs]
    assert all(set(pair) == {"Mg", "O"} for pair in symbols.tolist())


def test_a_supercell_is_that_of_ase_with_arrows_and_colours_on_every_copy():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    forces = np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 0.0]])
    shown = Shown(atoms, forces, np.array([0.0, 1.0]), "x", cells=(2, 1, 3))
    scene = scene_of(shown)
    repeated = atoms.repeat((2, 1, 3))
    assert scene.positions == pytest.approx(repeated.positions)
    assert scene.arrows[:, 1] - scene.arrows[:, 0] == pytest.approx(
        shown.scale * np.tile(forces, (6, 1))
    )
    assert scene.colors[::2].tolist() == [scene.colors[0].tolist()] * 6
    assert scene.names[3] == "Cl 1: 1"
    # a box of 2 x 1 x 3 cells has this many different edges
    assert len(scene.edges) == 2 * (2 * 4) + 1 * (3 * 4) + 3 * (3 * 2)


def test_the_cell_has_its_axes_unless_they_are_switched_off():
    atoms = bulk("Cu")
    scene = scene_of(Shown(atoms))
    assert [name for name, _, _ in scene.axes] == ["a", "b", "c"]
    assert [end.tolist() for _, _, end in scene.axes] == atoms.cell.tolist()
    assert scene_of(Shown(atoms, axes=False)).axes == []
    without = scene_of(Shown(molecule("H2O")))
    assert without.axes == []
    assert without.edges.shape == (0, 2, 3)


def test_arrows_that_are_no_numbers_are_left_out():
    arrows = np.array([[np.nan, 0.0, 0.0], [np.inf, 0.0, 0.0], [0.0, 2.5, 0.0]])
    shown = Shown(molecule("H2O"), arrows)
    assert shown.scale == 1
    assert len(scene_of(shown).arrows) == 1
    assert len(scene_of(Shown(molecule("H2O"), np.full((3, 3), np.nan))).arrows) == 0


def test_a_supercell_has_a_bound():
    assert largest_supercell(192) * 192 <= MAX_ATOMS
    assert largest_supercell(10 * MAX_ATOMS) == 1


def test_a_single_atom_has_no_bond():
    assert bonds(Atoms("H")).shape == (0, 2)
