"""A run's end is told once, to who watched it; runs that had ended before tell nothing."""

from __future__ import annotations

import os

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.live.notice import Notice, headline


@pytest.fixture
def told(monkeypatch):
    """Return the messages that notices send."""
    messages = []
    monkeypatch.setattr(Notice, "send", lambda self, content, *_: messages.append(content))
    return messages


@pytest.fixture
def run(tmp_path):
    """Return a run whose states a test writes."""
    config = mt.demo_config(tmp_path, "water")
    (tmp_path / "water").mkdir()
    (tmp_path / "water" / "config.yaml").write_text(config.to_yaml())
    return mt.Run.attach(tmp_path / "water")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("finished", "✓ finished – water"),
        ("stopped", "■ stopped – water"),
        ("failed", "✗ failed – water"),
        ("crashed", "✗ crashed – water"),
    ],
)
def test_the_end_is_told_in_few_words(state, words):
    assert headline("water", state) == words


def test_a_run_that_ends_while_it_is_watched_is_told_once(run, told):
    run.directory.write_status("running", pid=os.getppid())
    view = run.dashboard()
    assert told == []
    run.directory.write_status("failed", error="Out of memory.")
    view.refresh()
    view.refresh()
    (message,) = told
    assert message["headline"] == "✗ failed – water"
    assert message["body"] == "Out of memory."
    run.directory.write_status("running", pid=os.getppid())
    view.refresh()
    run.directory.write_status("finished")
    view.refresh()
    assert [one["headline"] for one in told] == ["✗ failed – water", "✓ finished – water"]
    view.close()


def test_a_run_that_had_ended_before_is_not_told(run, told):
    run.directory.write_status("finished")
    view = run.dashboard()
    view.refresh()
    assert told == []
    view.close()
