"""What all tests share: one thread a process, as several run beside each other."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")
# neither indices nor graphs of a user's own runs
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="mattertune_nb-cache-")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Return the folder with real DFT data; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared DFT data are not on this machine")
    return SHARED


@pytest.fixture
def morse_installed(tmp_path, monkeypatch):
    """Install the Morse potential as an outside package does: one file and one entry point."""
    from mattertune_nb.backbones import registry

    info = tmp_path / "site" / "morse-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: morse\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{registry.GROUP}]\nmorse = toy_backbone:MorseBackboneConfig\n"
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
