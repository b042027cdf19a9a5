"""Losses: the textbook's values, and nothing learnt from labels that are not there."""

from __future__ import annotations

import pytest
import torch

import mattertune_nb as mt
from mattertune_nb.model.losses import compute_loss

PREDICTION = torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
LABEL = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])


@pytest.mark.parametrize(
    ("config", "value", "count"),
    [
        (mt.MAELossConfig(), (1 + 2 + 2 + 3) / 6, 6),
        (mt.MSELossConfig(), (1 + 4 + 4 + 9) / 6, 6),
        (mt.HuberLossConfig(delta=1.0), (0.5 + 1.5 + 1.5 + 2.5) / 6, 6),
        (mt.L2MAELossConfig(), (3 + 3) / 2, 2),
    ],
)
def test_values(config, value, count):
    loss, n = compute_loss(config, PREDICTION, LABEL)
    assert loss.item() == pytest.approx(value)
    assert n == count


@pytest.mark.parametrize("config", [mt.MAELossConfig(), mt.L2MAELossConfig()])
def test_missing_labels_are_left_out(config):
    label = LABEL.clone()
    label[0] = torch.nan
    loss, _ = compute_loss(config, PREDICTION, label)
    alone, _ = compute_loss(config, PREDICTION[1:], LABEL[1:])
    assert loss == alone


@pytest.mark.parametrize(
    "config", [mt.MAELossConfig(), mt.MSELossConfig(), mt.HuberLossConfig(), mt.L2MAELossConfig()]
)
@pytest.mark.parametrize("values", [PREDICTION, PREDICTION[:, 0]], ids=["vectors", "numbers"])
def test_a_batch_without_labels_has_no_gradient_but_can_be_stepped_over(config, values):
    prediction = values.clone().requires_grad_()
    loss, count = compute_loss(config, prediction, torch.full_like(values, torch.nan))
    loss.backward()
    assert count == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))
