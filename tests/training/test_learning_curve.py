"""Learning curves: nested parts of the data, the same validation, and a power law that says what it knows."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.training.learning_curve import _rounded, new_learning_curve, power_law


def test_a_power_law_is_found_again_with_its_uncertainty():
    exact = power_law([10, 20, 40], [80.0, 40.0, 20.0])
    assert exact.exponent == pytest.approx(1)
    assert exact.after(2) == pytest.approx((10, 0), abs=1e-9)
    rng, n = np.random.default_rng(0), np.array([8, 16, 32, 64, 128])
    laws = [power_law(n, 90 * n**-0.4 * np.exp(rng.normal(0, 0.1, 5))) for _ in range(400)]
    assert np.mean([law.exponent for law in laws]) == pytest.approx(0.4, abs=0.01)
    errors = np.mean([law.exponent_error**2 for law in laws]) ** 0.5
    assert np.std([law.exponent for law in laws]) == pytest.approx(errors, rel=0.15)
    assert np.isnan(power_law([10, 20], [2.0, 1.0]).after(2)[1])


def test_numbers_have_as_many_digits_as_their_uncertainty_allows():
    found = [
        f"{_rounded(v, e)} ± {_rounded(e, e)}"
        for v, e in ((36.4, 3.2), (2.64, 1.62), (452.0, 24.0))
    ]
    assert found == ["36 ± 3", "2.6 ± 1.6", "452 ± 24"]


def test_parts_are_nested_validated_alike_and_trained_for_as_many_steps(morse_config):
    curve = new_learning_curve(morse_config("curve", max_epochs=2), (0.5, 0.75, 1)).train()
    splits = [json.loads(run.directory.splits_file.read_text()) for run in curve.runs()]
    parts = [set(split["train"]) for split in splits]
    assert [len(part) for part in parts] == [4, 7, 9]
    assert parts[0] < parts[1] < parts[2]
    assert splits[0]["validation"] == splits[2]["validation"]
    assert [run.status().step for run in curve.runs()] == [8, 12, 10]
    law = curve.points()["forces"]
    best = [1000 * run.directory.best_metrics()["val/forces_mae"] for run in curve.runs()]
    assert law.errors == pytest.approx(best)
    assert str(curve).startswith("Doubling the data should change forces from ")
    assert "meV/Å" in curve._repr_html_()
    assert str(mt.LearningCurve(curve.path)) == str(curve)


def test_parts_that_say_nothing_are_refused(morse_config):
    with pytest.raises(mt.ConfigError, match="two or more"):
        new_learning_curve(morse_config(), (1.0,))
    with pytest.raises(mt.ConfigError, match="up to 1"):
        new_learning_curve(morse_config(), (0.5, 2.0))
