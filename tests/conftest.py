"""What all tests share: one thread a process, as several run beside each other."""

from __future__ import annotations

import os
import signal
import tempfile
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from ase import Atoms

# a shell's background jobs ignore interrupts, which tests send to themselves and to what they start
signal.signal(signal.SIGINT, signal.default_int_handler)
# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")
# neither indices nor graphs of a user's own runs
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="mattertune_nb-cache-")
# nor signatures among a user's own
os.environ["JUPYTER_DATA_DIR"] = tempfile.mkdtemp(prefix="mattertune_nb-jupyter-")

# the same examples each time; `pytest --hypothesis-profile search` looks for new ones. A machine shared
# with others is slow at times, which is no failure
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("search", settings.get_profile("steady"), derandomize=False)
settings.load_profile("steady")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Return the folder with real DFT data; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared DFT data are not on this machine")
    return SHARED


@pytest.fixture
def counted_time(monkeypatch):
    """In the checks of a potential 4 ms pass whenever the time is read, however busy the machine is."""
    from mattertune_nb.physics.checks import case

    readings = count()
    monkeypatch.setattr(case, "time", SimpleNamespace(monotonic=lambda: 4e-3 * next(readings)))


@pytest.fixture
def frames_of_another_code() -> list[Atoms]:
    """Return frames of the shipped data whose labels do not have ASE's standard names."""
    import ase.io

    from mattertune_nb import demo_data

    frames = ase.io.read(demo_data("test"), ":4")
    for atoms in frames:
        atoms.info["dft_energy"] = atoms.get_potential_energy()
        atoms.arrays["dft_forces"] = atoms.get_forces()
        atoms.calc = None
    return frames


@pytest.fixture
def morse_installed(tmp_path, monkeypatch):
    """Install the Morse potential as an outside package does: one file and one entry point."""
    from mattertune_nb.backbones import registry

    info = tmp_path / "site" / "morse-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: morse\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{registry.GROUP}]\nmorse = toy_backbone:MorseBackboneConfig\n"
        "headed-morse = toy_backbone:HeadedMorseBackboneConfig\n"
        "pickled-morse = toy_backbone:PickledMorseBackboneConfig\n"
        "placed-morse = toy_backbone:PlacedMorseBackboneConfig\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry._entry_points.cache_clear()
    yield entry_points(group=registry.GROUP)
    registry._entry_points.cache_clear()
    registry.backbone_config_class.cache_clear()


@pytest.fixture(scope="session")
def chgnet():
    """Return CHGNet 0.3.0, untuned; shared, not to be changed."""
    import mattertune_nb as mt

    return mt.FinetuneModuleBase(mt.CHGNetBackboneConfig()).eval()


@pytest.fixture
def copper_xyz(tmp_path):
    """Write fourteen frames of 4 or 8 copper atoms, labelled by ASE's EMT."""
    import numpy as np
    from ase.build import bulk
    from ase.calculators.emt import EMT
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

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
    from toy_backbone import MorseBackboneConfig

    import mattertune_nb as mt

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
