"""What changes while a page loads is told again, once, and nothing else; that it is shown needs a browser."""

from __future__ import annotations

import ipywidgets
import pytest
from ipywidgets.comm import create_comm, get_comm_manager

from mattertune_nb.widgets.page import catch_up
from mattertune_nb.widgets.page.figure import Figure


class Recorded:
    """Mix-in for a widget that keeps what it sends."""

    def send_state(self, key=None):
        self.__dict__.setdefault("sent", []).append(key)
        super().send_state(key)


class Words(Recorded, ipywidgets.HTML):
    """A text."""


class Plot(Recorded, Figure):
    """A figure."""


@pytest.fixture
def ask():
    """Return a function that asks for the state of all widgets as a page that loads."""
    catch_up.watch()
    opened = get_comm_manager().targets["jupyter.widget.control"]

    def ask() -> int:
        opened(create_comm(target_name="x"), {"metadata": {"version": "1.0.0"}})
        return catch_up.number_of_page()

    return ask


def told_again(widget, page: int) -> list:
    """Return what a widget sends when a page says that it has loaded."""
    widget.sent = []
    catch_up.tell_again(page)
    return widget.sent


def test_what_has_changed_is_sent_once(ask):
    changed, same = Words("running"), Words("idle")
    page = ask()
    changed.value = "finished"
    assert told_again(same, page) == []
    assert told_again(changed, page) == []
    page = ask()
    changed.value = "stopped"
    assert told_again(changed, page) == [{"value"}]


def test_of_two_pages_each_is_told_what_it_missed(ask):
    words = Words("a")
    first = ask()
    words.value = "b"
    second = ask()
    assert told_again(words, second) == []
    assert told_again(words, first) == [{"value"}]
    # pages that are closed before they have loaded are forgotten
    pages = [ask() for _ in range(catch_up._MAX_PAGES + 1)]
    words.value = "c"
    assert told_again(words, pages[0]) == []
    assert told_again(words, pages[1]) == [{"value"}]


def test_a_figure_is_sent_whole_if_anything_in_it_has_changed(ask):
    figure = Plot()
    figure.add_scatter(x=[1], y=[1])
    page = ask()
    figure.get_state()  # as in the answer
    assert told_again(figure, page) == []
    page = ask()
    figure.data[0].x = [2]
    (sent,) = told_again(figure, page)
    assert {"_widget_data", "_widget_layout"} <= sent
    assert figure.get_state(sent)["_widget_data"][0]["x"] == [2]
