"""A few of many: both ends, evenly spread, all where there are no more."""

from __future__ import annotations

import numpy as np
import pytest

from mattertune_nb.data.evenly import evenly_spread


@pytest.mark.parametrize(("n", "most"), [(1000, 24), (25, 24), (24, 24), (3, 24), (1, 24), (0, 24)])
def test_both_ends_are_taken_and_steps_differ_by_one_at_most(n, most):
    found = evenly_spread(n, most)
    assert len(found) == min(n, most)
    assert found.tolist() == sorted(set(found.tolist()))
    assert found.tolist()[:: max(len(found) - 1, 1)] == [0, n - 1][: min(n, 2)]
    if len(found) > 1:
        assert np.ptp(np.diff(found)) <= 1
