"""Before and after: the same words everywhere, and none that flatter."""

from __future__ import annotations

import pytest

from mattertune_nb.training.outcome.stages import gain, validated_stages


@pytest.mark.parametrize(
    ("before", "after", "words", "sign"),
    [
        (238.0, 44.0, "5.4 × smaller", 1),
        (15.6, 20.6, "1.3 × larger", -1),
        (100.0, 100.0, "no better", 0),
        (100.0, 97.0, "no better", 0),
        (100.0, 103.0, "no better", 0),
        (110.0, 100.0, "1.1 × smaller", 1),
        (100.0, 110.0, "1.1 × larger", -1),
        (3000.0, 2.0, "1500 × smaller", 1),
        (0.0, 0.0, "no better", 0),
        (5.0, 0.0, "all gone", 1),
        (0.0, 5.0, "larger, from none", -1),
        (float("nan"), 1.0, "–", 0),
    ],
)
def test_what_became_of_an_error(before, after, words, sign):
    assert gain(before, after) == (words, sign)


def test_no_gain_is_ever_called_one():
    for percent in range(50, 200):
        words, sign = gain(100.0, percent)
        assert "1.0 ×" not in words
        assert sign in (0, 1 if percent < 100 else -1)


def test_the_stages_of_a_validation_set_have_their_names_and_count_epochs_from_1():
    baseline = {
        "baseline/energy_per_atom_mae": 0.7,
        "baseline/forces_mae": 0.3,
        "baseline/referenced_energy_per_atom_mae": 0.02,
    }
    best = {"epoch": 11, "val/energy_per_atom_mae": 0.01, "val/forces_mae": 0.1, "time": 3.0}
    stages = validated_stages(baseline, best)
    assert list(stages) == ["untuned", "untuned, energies re-referenced", "tuned, best epoch 12"]
    energies = [errors["energy_per_atom_mae"] for errors in stages.values()]
    assert energies == [0.7, 0.02, 0.01]
    assert [errors["forces_mae"] for errors in stages.values()] == [0.3, 0.3, 0.1]
