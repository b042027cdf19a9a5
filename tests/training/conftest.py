"""Runs on small data: the shipped ethanol with CHGNet, and copper with a potential of three numbers."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt


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
def copper_xyz(tmp_path):
    """Write fourteen frames of 4 or 8 copper atoms, labelled by ASE's EMT."""
    rng, frames = np.random.default_rng(0), []
    for i in range(14):
        atoms = bulk("Cu", cubic=True, a=3.7) * (1 + i % 2, 1, 1)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    write(tmp_path / "copper.xyz", frames)
    return tmp_path / "copper.xyz"


@pytest.fixture
def morse_config(copper_xyz, morse_installed, tmp_path):
    """Return a builder of configs that train within a second: five batches an epoch."""

    def build(
        name: str = "run", model=None, data=None, run=None, **trainer
    ) -> mt.MatterTunerConfig:
        return mt.MatterTunerConfig(
            model=MorseBackboneConfig(**{"optimizer": mt.AdamWConfig(lr=1e-2)} | (model or {})),
            data=mt.AutoSplitDataModuleConfig(
                dataset=mt.XYZDatasetConfig(src=copper_xyz),
                **{"train_split": 9, "batch_size": 2} | (data or {}),
            ),
            trainer=mt.TrainerConfig(
                **{"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 1} | trainer
            ),
            run=mt.RunConfig(**{"name": name, "root": tmp_path / "runs"} | (run or {})),
        )

    return build
