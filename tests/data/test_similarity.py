"""The map of similarity: invariances, and principal components compared with the covariance matrix's."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule

from mattertune_nb.data.division.similar import principal_components, surroundings


def test_a_structure_that_is_moved_turned_or_numbered_anew_is_the_same():
    atoms = molecule("CH3CH2OH")
    expected = surroundings(atoms, [1, 6, 8])
    moved = atoms[np.random.default_rng(0).permutation(len(atoms))]
    moved.rotate(37, (1, 2, 3))
    moved.translate((1, 2, 3))
    assert surroundings(moved, [1, 6, 8]) == pytest.approx(expected, abs=1e-9)
    moved.positions[0] += 0.3
    assert np.abs(surroundings(moved, [1, 6, 8]) - expected).max() > 1e-3


def test_a_supercell_is_the_same_as_its_cell():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    expected = surroundings(atoms, [11, 17])
    assert surroundings(atoms.repeat((2, 1, 2)), [11, 17]) == pytest.approx(expected, abs=1e-9)


def test_the_components_are_those_of_the_covariance_matrix():
    features = np.random.default_rng(0).normal(size=(30, 5)) * [5, 3, 1, 1, 1]
    components, shares = principal_components(features)
    variances = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    assert components.var(axis=0, ddof=1) == pytest.approx(variances[:2])
    assert shares == pytest.approx(variances[:2] / variances.sum())


def test_structures_that_are_all_the_same_lie_on_one_point():
    components, shares = principal_components(np.ones((4, 3)))
    assert np.abs(components).max() == 0
    assert shares.tolist() == [0, 0]
