"""The table of planted faults is about the code as it is: each fault can still be planted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import mattertune_nb

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS / "benchmarks"))

from planted_faults import FAULTS  # noqa: E402


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted_and_has_its_tests(fault):
    code = (Path(mattertune_nb.__file__).parent / fault.file).read_text(encoding="utf-8")
    assert code.count(fault.old) == 1
    assert fault.new != fault.old
    assert all((TESTS / name).is_file() for name in fault.tests)


def test_there_are_enough_of_them_and_no_two_alike():
    assert len(FAULTS) >= 40
    assert len({(fault.file, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
