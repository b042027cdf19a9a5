"""Widgets are tested as a kernel with a page sees them; what is without one is tested by name."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def front_end(monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "0")
