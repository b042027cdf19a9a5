"""What a Python prompt shows of a result is the text that ``print`` shows, and no dump of its fields."""

from __future__ import annotations

import mattertune_nb as mt
from mattertune_nb.physics.scorecard import Line, Scorecard
from mattertune_nb.training.outcome.verdict import Change, Verdict


def test_a_verdict_is_its_sentence():
    verdict = Verdict((Change("forces", "meV/Å", 238.0, 44.0, "untuned"),), best=(12, 12))
    assert repr(verdict) == str(verdict)
    assert repr(verdict).startswith("Forces 238 → 44")


def test_a_scorecard_is_its_table():
    card = Scorecard("my run", [Line("rotation", "pass", tuned="0.1 meV/atom", reason="exact")])
    assert repr(card) == str(card)
    assert "rotated structures: tuned 0.1 meV/atom; exact" in repr(card)


def test_a_look_at_data_is_its_findings(copper_xyz):
    report = mt.check(copper_xyz)
    assert repr(report) == str(report)
    assert "14 frames" in repr(report)


def test_a_selection_is_its_table(copper_xyz):
    selection = mt.select(copper_xyz, 3, by="diversity")
    assert repr(selection) == str(selection)
    assert len(repr(selection).splitlines()) > 3
