"""Metrics: exact over the set, by component, whatever the batches are."""

from __future__ import annotations

import pytest
import torch

from mattertune_nb.model.metrics import PropertyMetrics


def errors_in_batches(sizes: list[int]) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    num_atoms = torch.tensor([1, 5, 2, 7, 3, 4, 6])
    n = int(num_atoms.sum())
    forces = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    energies = -30_000 + torch.randn(7, generator=generator, dtype=torch.float64)
    metrics = PropertyMetrics(["energy", "forces"], {"energy": 1.0, "forces": 10.0})
    atom = frame = 0
    for size in sizes:
        counts = num_atoms[frame : frame + size]
        rows = slice(atom, atom + int(counts.sum()))
        metrics.update_errors(
            {"energy": energies[frame : frame + size], "forces": forces[rows]},
            {"energy": torch.full((size,), -30_000.0), "forces": torch.zeros_like(forces[rows])},
            counts,
        )
        atom, frame = rows.stop, frame + size
    assert metrics.compute()["forces_mae"] == pytest.approx(forces.abs().mean())
    assert metrics.compute()["forces_rmse"] == pytest.approx(forces.square().mean().sqrt())
    expected = ((energies + 30_000) / num_atoms).abs().mean()
    assert metrics.compute()["energy_per_atom_mae"] == pytest.approx(expected)
    return {k: float(v) for k, v in metrics.compute().items()}


def test_the_batch_size_does_not_matter():
    assert errors_in_batches([7]) == pytest.approx(errors_in_batches([1, 3, 2, 1]), rel=1e-12)


def test_a_property_without_labels_is_left_out_and_warns_nobody(recwarn):
    metrics = PropertyMetrics(["energy"], {"energy": 1.0})
    metrics.update_errors(
        {"energy": torch.zeros(2)}, {"energy": torch.full((2,), torch.nan)}, torch.ones(2)
    )
    assert metrics.compute() == {}
    assert not recwarn


def test_losses_are_means_over_labels_and_the_total_is_weighted():
    metrics = PropertyMetrics(["energy", "forces"], {"energy": 2.0, "forces": 10.0})
    metrics.update_losses({"energy": (torch.tensor(1.0), 1), "forces": (torch.tensor(4.0), 30)})
    metrics.update_losses({"energy": (torch.tensor(4.0), 2), "forces": (torch.tensor(0.0), 0)})
    values = metrics.compute()
    assert values["energy_loss"] == pytest.approx(3.0)
    assert values["forces_loss"] == pytest.approx(4.0)
    assert values["total_loss"] == pytest.approx(46.0)


def test_what_is_predicted_as_nan_is_infinitely_wrong():
    metrics = PropertyMetrics(["energy", "forces"], {"energy": 1.0, "forces": 1.0})
    labels = {"energy": torch.zeros(2), "forces": torch.zeros(4, 3)}
    for forces in (torch.ones(4, 3), torch.full((4, 3), torch.nan)):
        metrics.update_errors({"energy": torch.ones(2), "forces": forces}, labels, torch.ones(2))
        metrics.update_losses({"energy": (torch.tensor(1.0), 2), "forces": (forces.mean(), 12)})
    values = metrics.compute()
    assert values["energy_mae"] == values["energy_loss"] == 1.0
    assert values["forces_mae"] == values["forces_rmse"] == torch.inf
    assert values["forces_loss"] == values["total_loss"] == torch.inf
