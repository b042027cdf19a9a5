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


def test_what_a_page_reports_takes_nothing_away():
    figure = new_plotly_figure()
    figure.add_scatter(x=[1, 2], y=[3, 4], hovertemplate="%{y}")
    trace = figure.data[0]
    # a page that has not heard of the last change reports it as a default of its own
    delta = {"uid": trace.uid, "hovertemplate": "", "x": [0, 1]}
    figure._js2py_traceDeltas = {
        "trace_deltas": [delta],
        "trace_edit_id": figure._last_trace_edit_id,
    }
    (kept,) = figure.get_state()["_widget_data"]
    assert (kept["hovertemplate"], list(kept["x"])) == ("%{y}", [1, 2])
    assert figure._js2py_traceDeltas is None


def test_a_batch_says_of_each_trace_what_it_keeps():
    figure = new_plotly_figure()
    figure.add_scatter(x=[1], y=[2], hovertemplate="%{y}", marker={"color": "red"})
    figure.add_bar(x=[1], y=[2])
    sent = []
    figure.observe(lambda change: sent.append(change["new"]), "_py2js_update")
    with figure.batch_update():
        figure.data[0].y = [5]
        figure.data[1].update(hovertemplate="%{x}", marker={"color": "blue"})
    (message,) = [m for m in sent if m]
    style = message["style_data"]
    assert style["hovertemplate"] == ["%{y}", "%{x}"]
    assert style["marker.color"] == ["red", "blue"]
    assert [list(y) for y in style["y"]] == [[5], [2]]
