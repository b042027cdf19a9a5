"""A page that asks for a figure later, as after a reload, gets what is in it now."""

from __future__ import annotations

import threading

import numpy as np

from mattertune_nb.widgets.page.figure import new_plotly_figure


def test_the_state_holds_traces_and_layout_as_they_are_now():
    figure = new_plotly_figure()
    figure.add_scatter(x=np.arange(3.0), y=[1, 2, 3], name="first")
    figure.add_bar(x=["a"], y=[1])
    figure.update_layout(height=321)
    with figure.batch_update():
        figure.data[0].y = [7, 8, 9]
    state = figure.get_state()
    assert [trace["type"] for trace in state["_widget_data"]] == ["scatter", "bar"]
    assert state["_widget_data"][0]["y"] == [7, 8, 9]
    assert state["_widget_layout"]["height"] == 321


def test_a_part_of_the_state_is_had_without_copying_the_rest():
    figure = new_plotly_figure()
    figure.add_scatter(x=[1], y=[2])
    assert set(figure.get_state("_config")) == {"_config"}
    assert figure.get_state(["_widget_data"])["_widget_data"][0]["y"] == [2]


def test_a_thread_may_add_traces_while_the_page_asks():
    figure = new_plotly_figure()
    done = threading.Event()

    def add() -> None:
        for i in range(60):
            figure.add_scatter(x=np.arange(50.0), y=np.arange(50.0), name=str(i))
        done.set()

    thread = threading.Thread(target=add)
    thread.start()
    while not done.is_set():
        figure.get_state()
    thread.join()
    assert len(figure.get_state()["_widget_data"]) == 60
