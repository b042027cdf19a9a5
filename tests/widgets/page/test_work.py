"""Work in a thread: it shows how far it is, can be cancelled, goes on, and says what went wrong."""

from __future__ import annotations

import threading
import time

import pytest

from mattertune_nb.config.errors import DataError
from mattertune_nb.widgets.page import work as work_module
from mattertune_nb.widgets.page.work import Step, Work


@pytest.fixture
def paced():
    """Return work of ten steps that takes one whenever it is allowed to, and what it has done."""
    allowed, done, news = threading.Semaphore(0), [], []

    def steps():
        for i in range(1, 11):
            assert allowed.acquire(timeout=20)
            done.append(i)
            yield Step("counting", i, 10, "numbers")

    work = Work(steps(), lambda: news.append(len(done)))
    work.allow = lambda n: [allowed.release() for _ in range(n)]
    work.seen, work.news = done, news
    return work


def test_it_runs_beside_the_caller_and_shows_all_at_the_end(paced):
    paced.start()
    assert paced.state == "running"
    assert paced.button.description == "Cancel"
    with pytest.raises(TimeoutError):
        paced.wait(0.05)
    paced.allow(10)
    paced.wait(20)
    assert paced.state == "done"
    assert paced.news[-1] == 10
    assert paced.layout.display == "none"


def test_the_words_follow_where_looks_at_the_results_are_rare_and_the_last_look_is_told(
    monkeypatch,
):
    monkeypatch.setattr(work_module, "_PAUSE", 0.0)
    monkeypatch.setattr(work_module, "_SHARE", 1e-9)
    told, at_news = [], []

    def steps():
        for i in range(1, 6):
            yield Step("counting", i, 5, "numbers")
            told.append(work._words.value)

    def news():
        at_news.append((work._words.value, work.button.disabled))
        time.sleep(0.01)

    work = Work(steps(), news)
    work.start(20)
    work.wait(20)
    said = [words.split(",")[0] for words in told]
    assert said == [f"counting: {i} of 5 numbers" for i in range(1, 6)]
    # a first look, and the last, in which nothing is left that could be cancelled
    assert len(at_news) == 2
    assert at_news[-1] == ("drawing …", True)
    assert not work.button.disabled


def test_what_is_cancelled_keeps_what_is_there_and_goes_on_with_the_rest(paced):
    paced.start()
    paced.allow(3)
    while len(paced.seen) < 3:
        pass
    paced.button.click()
    paced.allow(1)
    paced.wait(20)
    assert paced.state == "cancelled"
    assert paced.seen[-1] in (3, 4)
    assert f"Cancelled: {paced.seen[-1]} of 10 numbers are shown." in paced._words.value
    assert paced.news[-1] == paced.seen[-1]
    assert paced.button.description == "Continue"
    paced.allow(10)
    paced.button.click()
    paced.wait(20)
    assert paced.state == "done"
    assert paced.seen == list(range(1, 11))


def test_without_a_front_end_it_is_done_where_it_is_started(monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    threads = set()

    def steps():
        threads.add(threading.current_thread())
        yield Step("counting", 1, 1, "numbers")

    work = Work(steps(), lambda: None)
    work.start()
    assert work.state == "done"
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("error", [DataError("a.xyz: no label."), ZeroDivisionError("by zero")])
def test_an_error_is_one_line_in_its_place_and_raised_to_who_waits(error):
    def steps():
        yield Step("counting", 1, 3, "numbers")
        raise error

    work = Work(steps(), lambda: None)
    work.start(patience=20)
    assert work.state == "failed"
    assert 'role="alert"' in work._words.value
    assert str(error) in work._words.value
    assert "\n" not in work._words.value
    with pytest.raises(type(error)):
        work.wait()


def test_progress_says_how_much_is_left():
    work = Work(iter(()), lambda: None)
    first = Step("predicting", 0, 100, "frames")
    work._tell(Step("predicting", 25, 100, "frames"), first, seconds=20.0)
    assert work._bar.value == 0.25
    assert "predicting: 25 of 100 frames, 60\u00a0s left" in work._words.value
