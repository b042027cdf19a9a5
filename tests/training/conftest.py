"""Runs on small real data: a few frames of the shipped ethanol, CHGNet's pretrained weights."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from mattertune_nb.training import pace


@pytest.fixture
def small_config(tmp_path):
    """Return a builder of configs that train in seconds."""

    def build(**trainer) -> mt.MatterTunerConfig:
        return mt.MatterTunerConfig(
            model=mt.CHGNetBackboneConfig(optimizer=mt.AdamWConfig(lr=1e-3)),
            data=mt.ManualSplitDataModuleConfig(
                train=mt.XYZDatasetConfig(src=mt.demo_data("train"), index=":10"),
                validation=mt.XYZDatasetConfig(src=mt.demo_data("validation"), index=":4"),
                batch_size=2,
            ),
            trainer=mt.TrainerConfig(
                **{"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 1} | trainer
            ),
            run=mt.RunConfig(name="run", root=tmp_path),
        )

    return build


@pytest.fixture
def unmeasured(monkeypatch):
    """Let runs end in mid-epoch without measuring their last weights, another candidate for best."""
    monkeypatch.setattr(pace, "SHARE", 0.0)
