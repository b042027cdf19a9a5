"""A page is told of a run often, and costs it little."""

from __future__ import annotations

import itertools

from mattertune_nb.widgets.live.pacing import Pacing


def updates(pacing: Pacing, costs, until: float) -> list[float]:
    """Return when a page is updated by a run that asks every 10 ms; each update takes as long as told."""
    now, found = 100.0, []
    while now < 100 + until:
        if pacing.is_due(now):
            found.append(now - 100)
            cost = costs[min(len(found), len(costs)) - 1]
            pacing.has_updated(now, now + cost)
            now += cost
        now += 0.01
    return found


def test_one_slow_update_does_not_silence_a_page_for_minutes():
    """The first one on a busy machine took 0.8 s, and the page stood at step 0 for the 200 s to come."""
    found = updates(Pacing(100.0, 0.003), [0.8, 0.02], 60)
    assert max(b - a for a, b in itertools.pairwise(found)) < 6
    assert len(found) >= 11


def test_the_first_curves_come_at_once_and_many_take_no_more_than_their_share():
    found = updates(Pacing(100.0, 0.003), [0.005], 600)
    assert found[4] < 1.5
    assert 0.005 * len(found) < 0.2 + 0.004 * 600
    cheap = updates(Pacing(100.0, 0.05), [0.001], 20)
    assert len(cheap) > 70
