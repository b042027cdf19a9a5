"""A page that is reloaded, or opened once more, shows what it showed: the kernel lives on."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

import mattertune_nb as mt
from tests.browser.conftest import Notebook
from tests.browser.test_live import SMALL, save, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.long]

TRACES = """output => [...output.querySelectorAll('.js-plotly-plot')]
    .reduce((sum, plot) => sum + (plot.data || []).filter(trace => (trace.x || trace.dimensions
        || []).length || trace.values).length, 0)"""
TRAIN = SMALL + "mt.MatterTuner(config).tune()\nrun = mt.Run.attach('runs/{name}')"


def n_traces(notebook, cell: int) -> int:
    """Return how many curves, clouds and bars the plots of a cell hold."""
    return notebook.output(cell).evaluate(TRACES)


def coloured(notebook, cell: int) -> int:
    """Return how many pixels of a cell's first plot have a colour: ink and grid are grey."""
    plot = notebook.output(cell).locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    notebook.page.mouse.move(2, 2)
    notebook.page.wait_for_timeout(500)
    pixels = np.asarray(Image.open(io.BytesIO(plot.screenshot())).convert("RGB"), int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 40).sum())


def wait_until_drawn(notebook, cell: int, at_least: int = 1) -> None:
    """Wait until the plots of a cell hold so many traces."""
    for _ in range(300):
        if notebook.output(cell).count() and n_traces(notebook, cell) >= at_least:
            notebook.page.wait_for_timeout(3000)  # and has the width of its cell
            return
        notebook.page.wait_for_timeout(200)
    msg = f"{n_traces(notebook, cell)} traces instead of {at_least}"
    raise AssertionError(msg)


def reload(notebook) -> None:
    """Reload the page and nothing else."""
    save(notebook)
    notebook.page.reload()
    notebook.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=180_000)


def settled(notebook, cell: int, at_least: int = 1) -> tuple[int, int]:
    """Return how many traces and coloured pixels the plots of a cell have once neither changes any more."""
    wait_until_drawn(notebook, cell, at_least)
    last = None
    for _ in range(60):
        seen = n_traces(notebook, cell), coloured(notebook, cell)
        if seen == last:
            return seen
        last = seen
        notebook.page.wait_for_timeout(1000)
    msg = f"the plots of cell {cell} still change: {last}"
    raise AssertionError(msg)


VIEWS = {
    "dashboard": "run.dashboard()",
    "compare": "mt.compare(run)",
    "parity": "parity = mt.parity(run, mt.demo_data('validation'))\nparity",
    "explore": "explore = mt.explore(mt.demo_data('validation'))\nexplore",
}
# both go on in the background, on a busy machine for many seconds
AT_REST = "parity.wait()\nexplore.work.wait()"


def test_every_view_is_the_same_after_a_reload_and_in_a_second_tab(notebook, browser):
    notebook.open(TRAIN.format(name="reloaded", epochs=3), *VIEWS.values(), AT_REST)
    notebook.run(0, wait=False)
    wait_for(notebook, 0)
    for cell in range(1, len(VIEWS) + 2):
        notebook.run(cell)
    before = {name: settled(notebook, cell) for cell, name in enumerate(VIEWS, 1)}
    assert min(pixels for _, pixels in before.values()) > 200
    reload(notebook)
    second = browser.new_page(viewport={"width": 1366, "height": 900})
    tab = Notebook(second, notebook.folder, notebook.address, notebook.name)
    for page in (notebook, tab.open()):
        for cell, (name, (traces, pixels)) in enumerate(before.items(), 1):
            now = settled(page, cell, traces)
            assert now[0] == traces, name
            assert now[1] == pytest.approx(pixels, rel=0.15), name
    second.close()


LATE = """const wait = window.setTimeout;
window.setTimeout = (then, ms, ...rest) => wait(then, ms === 100 ? 4000 : ms, ...rest);"""
"""Lets a page ask for a widget at once and then after 4 s alone, as one that is busy meanwhile."""


def test_widgets_on_which_a_busy_page_has_given_up_are_shown_all_the_same(notebook):
    notebook.open(TRAIN.format(name="given-up", epochs=1) + "\nrun.dashboard()", "mt.TunerForm()")
    for cell in (0, 1):
        notebook.run(cell)
    parts = (
        notebook.output(0).get_by_text("Validation").first,
        notebook.output(1).locator(".mt-run-form"),
    )
    for part in parts:
        part.wait_for(timeout=60_000)
    notebook.page.add_init_script(LATE)
    reload(notebook)
    for part in parts:
        part.wait_for(timeout=60_000)
    assert notebook.page.get_by_text("model not found").count() == 0
    assert any("widget model not found" in error for error in notebook.errors)


def test_a_dashboard_that_is_reloaded_during_a_run_goes_on(notebook):
    notebook.open(
        SMALL.format(name="goes-on", epochs=400) + "run = mt.MatterTuner(config).start()",
        "run.dashboard()",
        "run.stop()\nrun.wait(60)",
    )
    for cell in (0, 1):
        notebook.run(cell)
    notebook.output(1).get_by_text("structures/s").wait_for(timeout=120_000)
    wait_until_drawn(notebook, 1, 6)
    traces, pixels = n_traces(notebook, 1), coloured(notebook, 1)
    reload(notebook)
    wait_until_drawn(notebook, 1, traces)
    assert coloured(notebook, 1) > pixels / 2
    # and the curves still grow
    points = "output => output.querySelector('.js-plotly-plot').data.flatMap(t => [...(t.x || [])]).length"
    first = notebook.output(1).evaluate(points)
    for _ in range(100):
        if notebook.output(1).evaluate(points) > first:
            break
        notebook.page.wait_for_timeout(200)
    assert notebook.output(1).evaluate(points) > first
    notebook.run(2)


def test_live_curves_are_there_after_a_reload_while_the_cell_trains_and_after_it(notebook):
    notebook.open(
        SMALL.format(name="in-cell", epochs=400),
        "model, trainer = mt.MatterTuner(config).tune(callbacks=[mt.LiveCurves()])",
    )
    notebook.run(0)
    notebook.run(1, wait=False)
    notebook.output(1).get_by_text("structures/s").wait_for(timeout=120_000)
    wait_until_drawn(notebook, 1, 6)
    traces, pixels = n_traces(notebook, 1), coloured(notebook, 1)
    reload(notebook)
    wait_until_drawn(notebook, 1, traces)
    assert coloured(notebook, 1) > pixels / 2
    # the cell still trains: what is chosen about its curves is heard
    notebook.output(1).locator("select").first.select_option("Epoch")
    notebook.output(1).locator(".xtitle", has_text="epoch").wait_for(timeout=20_000)
    notebook.page.keyboard.press("Escape")
    notebook.page.locator(".jp-Notebook").click(position={"x": 5, "y": 5})
    notebook.page.keyboard.press("i")
    notebook.page.keyboard.press("i")
    notebook.output(1).get_by_text("stopped", exact=True).wait_for(timeout=60_000)
    save(notebook)
    reload(notebook)
    wait_until_drawn(notebook, 1, traces)
    assert coloured(notebook, 1) > pixels / 2


@pytest.mark.parametrize(
    ("call", "at_work"),
    [
        ("run = mt.MatterTuner(config).start()\nrun.wait(300)", r"running, step (\d+) of"),
        ("mt.MatterTuner(config).tune()", r"epoch \d+ of 500, step (\d+) of"),
    ],
    ids=["wait", "tune"],
)
def test_the_line_below_a_cell_at_work_goes_on_after_a_reload(notebook, call, at_work):
    name = f"line{len(call)}"
    notebook.open(SMALL.format(name=name, epochs=500) + call)
    notebook.run(0, wait=False)

    def step() -> int:
        line = notebook.output(0).get_by_text(re.compile(at_work)).filter(visible=True).first
        line.wait_for(timeout=120_000)
        found = re.search(at_work, line.inner_text())
        assert found is not None
        return int(found[1])

    def goes_on(from_step: int) -> int:
        for _ in range(100):
            if step() > from_step:
                return step()
            notebook.page.wait_for_timeout(300)
        msg = f"the line stays at step {from_step}"
        raise AssertionError(msg)

    before = step()
    reload(notebook)
    after = goes_on(before)
    notebook.picture(f"line_reloaded-{name}")
    goes_on(after)
    mt.Run.attach(notebook.folder / "runs" / name).stop()
    ended = notebook.output(0).get_by_text(re.compile(r"stopped at step \d+"))
    ended.filter(visible=True).first.wait_for(timeout=120_000)
    assert notebook.output(0).locator("progress").filter(visible=True).count() == 0
    assert notebook.errors == []


ENDS_WHILE_LOADING = """import ipywidgets as W
import mattertune_nb as mt
from mattertune_nb.widgets.page.figure import Figure
words, figure = W.HTML("running"), Figure()
figure.add_scatter(x=[1], y=[1])
answer = W.Widget._handle_control_comm_msg
def answer_and_change(message):
    answer(message)
    words.value = "finished"
    with figure.batch_update():
        figure.data[0].x = figure.data[0].y = [1, 2, 3]
    figure.add_scatter(x=[1, 2], y=[2, 1])
    figure.layout.title = "at the end"
W.Widget._handle_control_comm_msg = answer_and_change
W.VBox([words, figure])"""


def test_what_changes_while_the_page_loads_is_shown(notebook):
    notebook.open(
        ENDS_WHILE_LOADING, "mt.TunerForm(mt.demo_config())", "figure.data[1].x = [1, 2, 3]"
    )
    notebook.run(0)
    notebook.run(1)
    shown = notebook.output(0)
    shown.get_by_text("running", exact=True).wait_for()
    reload(notebook)
    shown.get_by_text("finished", exact=True).wait_for(timeout=60_000)
    shown.get_by_text("at the end").wait_for()
    points = "output => output.querySelector('.js-plotly-plot').data.map(trace => trace.x.length)"
    assert shown.evaluate(points) == [3, 2]
    # and it is drawn once: what comes afterwards is not added twice
    notebook.run(2)
    notebook.page.wait_for_timeout(1000)
    assert shown.evaluate(points) == [3, 3]
    # a busy page gives up on a widget and is healed, see above
    assert [error for error in notebook.errors if "widget model not found" not in error] == []
