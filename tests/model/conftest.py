"""Copper labelled by ASE's EMT, and a Trainer that is Lightning's own and nothing more."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator


def label(atoms: Atoms, **changes) -> Atoms:
    """Return the structure with EMT's labels; one that is set to None is left out."""
    out = atoms.copy()
    out.calc = EMT()
    labels = {"energy": out.get_potential_energy(), "forces": out.get_forces()}
    if out.pbc.all():
        labels["stress"] = out.get_stress()
    labels = {k: v for k, v in (labels | changes).items() if v is not None}
    out.calc = SinglePointCalculator(out, **labels)
    return out


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Let each test begin without graphs on disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def copper() -> list[Atoms]:
    """Return eight labelled frames of 2 to 8 copper atoms: crystals, and a slab last."""
    rng = np.random.default_rng(0)
    frames = [bulk("Cu", cubic=True, a=3.5 + 0.03 * i) * (1 + i % 2, 1, 1) for i in range(7)]
    frames.append(fcc111("Cu", (1, 1, 2), vacuum=8, periodic=False))
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.07, size=atoms.positions.shape)
    return [label(atoms) for atoms in frames]


@pytest.fixture
def plain_trainer(tmp_path):
    """Return a builder of plain Lightning Trainers."""
    from lightning.pytorch import Trainer

    def build(**kwargs) -> Trainer:
        quiet = {
            "accelerator": "cpu",
            "default_root_dir": tmp_path,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "max_epochs": 1,
        }
        return Trainer(**quiet | kwargs)

    return build


@pytest.fixture
def fit(plain_trainer):
    """Return a function that trains a module on frames and gives back its Trainer."""

    def run(module, train, validation=None, *, batch_size=2, **kwargs):
        trainer = plain_trainer(**kwargs)
        validation = train if validation is None else validation
        trainer.fit(
            module,
            module.create_dataloader(train, has_labels=True, batch_size=batch_size),
            module.create_dataloader(validation, has_labels=True, batch_size=batch_size),
        )
        return trainer

    return run
