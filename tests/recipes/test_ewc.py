"""EWC: what each weight matters elsewhere is what finite differences say, and it is held by that much."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ase.io import read, write
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.recipes.ewc import fisher_information
from mattertune_nb.recipes.l2_sp import DistancePenalty, start_of_backbone


@pytest.fixture
def oxides(copper_xyz):
    frames = [atoms.copy() for atoms in read(copper_xyz, ":6")]
    for atoms in frames:
        atoms.symbols[0] = "O"
        atoms.rattle(0.1, seed=len(atoms))
    return frames


def predictions(model, atoms):
    """Return the energy per atom and all components of the forces."""
    (found,) = model.property_predictor().predict([atoms])
    return np.append(found["forces"].ravel(), found["energy"] / len(atoms))


def test_the_information_is_that_of_finite_differences(oxides):
    model = mt.FinetuneModuleBase(MorseBackboneConfig()).double()
    found = fisher_information(model, oxides * 20)
    for name, parameter in model.backbone.named_parameters():
        slopes = []
        for atoms in oxides:
            ends = []
            for step in (1e-4, -1e-4):
                moved = copy.deepcopy(model).eval()
                with torch.no_grad():
                    dict(moved.backbone.named_parameters())[name].add_(step)
                ends.append(predictions(moved, atoms))
            slopes.append((ends[0] - ends[1]) / 2e-4)
        expected = np.mean([(slope**2).sum() for slope in slopes])
        # 240 draws of a squared normal number
        assert float(found[name]) == pytest.approx(expected, rel=0.25), name
        assert parameter.grad is None


def test_the_penalty_is_that_of_sevennet(oxides):
    """SevenNet takes its weight times a half beforehand."""
    pytest.importorskip("sevenn.train.reewc", reason="pip install 'mattertune-nb[sevennet]'")
    from sevenn.train.reewc import EWCLoss

    torch.manual_seed(0)
    model = mt.FinetuneModuleBase(mt.SevenNetBackboneConfig())
    start = start_of_backbone(model)
    fisher = {name: torch.rand_like(value) for name, value in start.items()}
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    with torch.no_grad():
        loss, weight = DistancePenalty("ewc", start, 100.0, fisher).losses(model, 1)["ewc"]
        theirs = (100.0 / 2) * EWCLoss(fisher, start).get_loss({}, model.backbone)
    assert float(weight * loss) == pytest.approx(float(theirs), rel=1e-5)
    assert float(theirs) > 0


def test_a_heavy_penalty_keeps_what_is_said_elsewhere(morse_config, oxides, tmp_path):
    write(tmp_path / "oxides.xyz", oxides)
    untuned = mt.FinetuneModuleBase(morse_config().model).eval()
    changes = {}
    for weight in (1e-9, 1e4):
        config = morse_config(
            f"run-{weight}", ewc=mt.EWCConfig(weight=weight, file=tmp_path / "oxides.xyz")
        )
        result = mt.MatterTuner(config).tune()
        changes[weight] = np.mean(
            [
                np.abs(predictions(result.model, a) - predictions(untuned, a))[:-1]
                for a in oxides[:1]
            ]
        )
        assert any("train/ewc_loss" in record for record in result.run.metrics())
        assert result.model.penalties == {}
    assert changes[1e4] < 0.3 * changes[1e-9]
