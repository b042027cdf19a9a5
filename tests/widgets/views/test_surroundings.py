"""Distances to a training set: nothing for what it holds, more for what it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list

from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.widgets.views.surroundings import (
    CENTRES,
    CUTOFF,
    WIDTH,
    TrainingDistances,
    neighbour_counts,
)


def distances(frames, training):
    measured = TrainingDistances(as_dataset(frames), lambda: as_dataset(training))
    steps = list(measured.steps())
    assert [step.done for step in steps][-1] == len(frames)
    return measured.of_frame


def test_counts_are_those_of_a_loop_over_ase_neighbours():
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.rattle(0.1, seed=0)
    expected = np.zeros((len(atoms), 2, len(CENTRES)))
    for i, j, d in zip(*neighbor_list("ijd", atoms, CUTOFF), strict=True):
        for k, centre in enumerate(CENTRES):
            fade = (1 + np.cos(np.pi * d / CUTOFF)) / 2
            species = 0 if atoms.numbers[j] == 11 else 1
            expected[i, species, k] += fade * np.exp(-((d - centre) ** 2) / (2 * WIDTH**2))
    assert neighbour_counts(atoms, [11, 17]) == pytest.approx(expected.reshape(len(atoms), -1))


def test_what_training_holds_is_at_no_distance_however_it_is_turned():
    ethanol = molecule("CH3CH2OH")
    turned = ethanol.copy()
    turned.rotate(70, (1, 2, 3))
    far = distances([turned], [bulk("Cu"), ethanol])
    assert far[0] == pytest.approx(np.zeros(9), abs=1e-6)


def test_the_nearest_of_the_same_element_counts():
    pairs = [Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (0.7, 0.8, 1.6)]
    far = distances([Atoms("H2", [[0, 0, 0], [0, 0, 0.81]])], pairs)
    to_each = [distances([Atoms("H2", [[0, 0, 0], [0, 0, 0.81]])], [pair])[0][0] for pair in pairs]
    assert far[0][0] == pytest.approx(min(to_each))
    assert to_each[1] < to_each[0] < to_each[2]


def test_an_element_that_training_has_not_seen_is_infinitely_far():
    far = distances([molecule("HCl")], [molecule("H2O")])
    assert np.isinf(far[0]).tolist() == [True, False] or np.isinf(far[0]).tolist() == [False, True]
