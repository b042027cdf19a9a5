"""How much of everything: few of each unless the command line asks for more."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# what the tests of single rooms make and compare
sys.path += [str(TESTS / room) for room in ("training", "data", "config", "widgets/live")]


def pytest_addoption(parser):
    group = parser.getgroup("faults", "how often something is made to go wrong, in tests/faults")
    group.addoption("--kills", type=int, default=200, help="kills of a run in each of its phases")
    group.addoption("--resumes", type=int, default=200, help="resumes of one run in a row")
    group.addoption("--examples", type=int, default=100_000, help="odd inputs to each reader")
    group.addoption("--seed", type=int, default=0, help="of the moments of the kills")


@pytest.fixture
def amount(request):
    """Return how often, as the command line says; less where pytest was told of another folder."""
    return request.config.getoption


@pytest.fixture(scope="session")
def processes():
    """Return what makes processes that need not import torch again."""
    # its server takes no other path, and what it cannot import beforehand it leaves out in silence
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed", "toy_backbone"])
    return context
