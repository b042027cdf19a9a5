"""Finders: the rate at which a loss falls fastest, and the largest batch that fits."""

from __future__ import annotations

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.training.estimate import searches
from mattertune_nb.training.estimate.found import Found
from mattertune_nb.training.estimate.searches import largest_batch, rate_of, steepest


def test_the_rate_is_where_a_noisy_loss_falls_fastest():
    rates = np.geomspace(1e-6, 1e-1, 60)
    noise = 0.02 * np.random.default_rng(0).normal(size=60)
    losses = 1 / (1 + (rates / 1e-3)) + noise  # steepest at 1e-3 over the logarithm
    assert steepest(list(rates), list(losses)) == pytest.approx(1e-3, rel=1.0)
    assert steepest(list(rates), list(np.arange(60.0))) is None
    assert steepest([1e-3], [1.0]) is None


def test_a_run_s_rate_is_found_and_nothing_is_left_behind(morse_config, tmp_path):
    config = morse_config()
    before = sorted(tmp_path.rglob("*"))
    found = rate_of(config, n_steps=40)
    assert found.setting == "model.optimizer.lr"
    assert len(found.tried) == len(found.measured) > 10
    assert np.all(np.diff(np.log(found.tried)) > 0)
    assert found.suggestion is None or 1e-6 < found.suggestion < 0.1
    assert sorted(tmp_path.rglob("*")) == before
    assert "<svg" in found.to_html()


def test_the_largest_batch_is_all_that_is_there_or_all_that_fits(morse_config, monkeypatch):
    found = largest_batch(morse_config())
    assert found.suggestion == 9
    assert found.tried == [1, 2, 4, 8, 9]
    assert all(seconds > 0 for seconds in found.measured)
    # as if the memory that is free were that of one structure
    monkeypatch.setattr(searches, "_free", lambda steps: 1.0)
    found = largest_batch(morse_config())
    assert found.tried == [1]
    assert found.suggestion == 1
    assert "free" in found.note


def test_another_process_says_why_it_cannot(tmp_path):
    config = mt.demo_config(tmp_path)
    config.data.train.src = tmp_path / "none.xyz"
    with pytest.raises(mt.DataError, match=r"none\.xyz"):
        mt.find_lr(config)


def test_a_suggestion_is_drawn():
    found = Found(
        "data.batch_size", [1.0, 2.0, 4.0], [0.3, 0.2, 0.15], "seconds per structure", 4.0, "<b>"
    )
    assert "batch_size" in found.to_html()
    assert "&lt;b&gt;" in found.to_html()
