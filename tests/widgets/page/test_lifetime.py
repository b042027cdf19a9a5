"""A cell that is executed again closes what it showed before, and nothing else."""

from __future__ import annotations

import ipywidgets
import pytest

from mattertune_nb.widgets.page import connection, lifetime


class Shown(lifetime.ClosedOnRerun, ipywidgets.VBox):
    """A widget with a part."""

    def __init__(self, *children):
        super().__init__(children or [ipywidgets.Text()])


@pytest.fixture
def execute(monkeypatch):
    """Return a function that shows widgets as an execution of a cell does."""
    monkeypatch.setattr(lifetime, "_shown", {})
    numbers = iter(range(100))

    def show(cell, *widgets):
        number = next(numbers)
        monkeypatch.setattr(lifetime, "_execution", lambda: (cell, number))
        for widget in widgets:
            lifetime.remember(widget)

    return show


def test_what_a_cell_showed_before_is_closed_with_its_parts(execute):
    first, second = Shown(), Shown()
    (part,) = first.children
    execute("a", first)
    execute("a", second)
    assert first.closed
    assert part.comm is None
    assert not second.closed


def test_widgets_of_one_execution_stay_together(execute):
    widgets = [Shown(), Shown()]
    execute("a", *widgets)
    assert not any(widget.closed for widget in widgets)


def test_what_is_shown_again_or_elsewhere_stays(execute):
    again, elsewhere = Shown(), Shown()
    execute("a", again, elsewhere)
    execute("b", elsewhere)
    execute("a", again)
    assert not again.closed
    assert not elsewhere.closed


@pytest.mark.parametrize("again", ["around", "within"])
def test_what_another_cell_shows_outlives_what_it_is_a_part_of_and_the_other_way(execute, again):
    within = Shown()
    around = Shown(within)
    execute("around", around)
    execute("within", within)
    execute(again, Shown())
    assert not within.closed
    assert within.children[0].comm is not None
    assert around.closed == (again == "around")
    execute("around", Shown())
    execute("within", Shown())
    assert within.closed
    assert within.children[0].comm is None


def test_without_a_cell_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(lifetime, "_execution", lambda: None)
    widget = Shown()
    lifetime.remember(widget)
    lifetime.remember(Shown())
    assert not widget.closed


def test_each_page_with_widgets_has_a_connection_that_lives_on(execute, monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "0")
    monkeypatch.setattr(connection, "_kept", [])
    execute("a", Shown())
    (first,) = connection._kept
    execute("a", Shown())
    assert connection._kept == [first]
    assert first.comm is not None
    first.close()  # as of all widgets
    execute("a", Shown())
    assert connection._kept[0].comm is not None


def test_a_script_has_none(execute, monkeypatch):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    monkeypatch.setattr(connection, "_kept", [])
    execute("a", Shown())
    assert connection._kept == []
