"""The sample for live plots: bounded, fair, the same each time, and the worst structures by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mattertune_nb.model.sample import MAX_POINTS, N_WORST, ErrorSample


def batch(errors: list[float], first: int = 0) -> tuple[dict, dict]:
    """Return predictions and labels of structures of two atoms with these errors in the forces."""
    n = len(errors)
    forces = torch.zeros(2 * n, 3)
    predictions = {"forces": forces + torch.tensor(errors).repeat_interleave(2)[:, None]}
    labels = {
        "forces": forces,
        "num_atoms": torch.full((n,), 2),
        "index": torch.arange(first, first + n),
    }
    return predictions, labels


def test_memory_does_not_grow_with_the_set():
    sample = ErrorSample(["forces"])
    for k in range(50):
        sample.add(*batch([0.01 * k] * 40))
    points = np.array(sample.points()["forces"])
    assert points.shape == (MAX_POINTS, 2)
    # each component as likely as any other: the mean error is that of all within the noise
    assert points[:, 1].mean() == pytest.approx(0.245, abs=0.02)
    assert len(sample.worst()) == N_WORST


def test_the_worst_structures_come_first_and_without_labels_not_at_all():
    sample = ErrorSample(["forces"])
    sample.add(*batch([0.1, 0.5, 0.3, float("nan")]))
    sample.loader = 1
    sample.add(*batch([0.4], first=7))
    assert [(k, i) for k, i, _ in sample.worst()] == [(0, 1), (1, 7), (0, 2), (0, 0)]
    assert sample.worst()[0][2] == pytest.approx(0.5)


def test_a_new_validation_draws_the_same_sample():
    sample = ErrorSample(["forces"])
    drawn = []
    for _ in range(2):
        sample.reset()
        sample.add(*batch(list(np.linspace(0, 1, 500))))
        drawn.append(sample.points())
    assert drawn[0] == drawn[1]


def test_drawing_leaves_the_order_of_training_alone():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  the global generators are what is looked at
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    ErrorSample(["forces"]).add(*batch([0.1] * 600))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_energies_are_compared_per_atom():
    sample = ErrorSample(["energy"])
    n = torch.tensor([2, 4])
    sample.add(
        {"energy": torch.tensor([-8.0, -8.0])},
        {"energy": torch.tensor([-6.0, -4.0]), "num_atoms": n, "index": torch.arange(2)},
    )
    assert sample.points()["energy"] == [[-3.0, -4.0], [-1.0, -2.0]]
    assert [error for *_, error in sample.worst()] == [1.0, 1.0]
