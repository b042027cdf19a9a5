"""What all tests share: one thread a process, as several run beside each other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# before torch is imported; processes that tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Return the folder with real DFT data; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared DFT data are not on this machine")
    return SHARED
