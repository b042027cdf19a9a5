"""What live views cost the page: ``pytest -s tests/browser/bench_page.py``.

Aims: the page's memory stays flat over 10 000 updates; a hundred executions of the dashboard's cell
leave one plot in the page and no more widgets or threads in the kernel; a curve is on the page within
a second of the first logged value.
"""

from __future__ import annotations

import sys

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

SETUP = """import json, os, time
import ipywidgets, threading
import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory
config = mt.demo_config("runs", NAME)
directory, _ = RunDirectory.create(config)
directory.write_status("running")
run = mt.Run.attach(directory.path)
view = run.dashboard()
view
"""
UPDATES = """
for i in range(FIRST, LAST):
    view.data.add([{"step": i, "epoch": i // 100, "train/total_loss": 1 / (i + 1), "lr-AdamW": 1e-3}])
    if i % 100 == 99:
        view.data.add([{"step": i, "epoch": i // 100, "val/forces_mae": 1 / i, "val/total_loss": 1 / i}])
    view.figure.update()
    time.sleep(0.09)  # a page draws some twelve a second; runs send four at most
"""


def heap(session) -> float:
    """Return the page's memory in MB once what is not needed has been collected."""
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize") / 1e6


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


def test_memory_is_flat_over_ten_thousand_updates(notebook):
    ranges = [(0, 2500), (2500, 5000), (5000, 7500), (7500, 10_000)]
    cells = [UPDATES.replace("FIRST", str(a)).replace("LAST", str(b)) for a, b in ranges]
    notebook.open(SETUP.replace("NAME", "'memory'"), *cells)
    session = notebook.page.context.new_cdp_session(notebook.page)
    session.send("Performance.enable")
    notebook.run(0)
    notebook.page.locator(".js-plotly-plot").first.wait_for()
    used = []
    for cell in range(1, len(cells) + 1):
        notebook.run(cell, wait=False)
        notebook.page.wait_for_function(
            "n => /\\[\\d+\\]/.test("
            "document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[n].innerText)",
            arg=cell,
            timeout=1_200_000,
        )
        notebook.page.wait_for_timeout(3000)
        used.append(heap(session))
    say(f"page memory after {[b for _, b in ranges]} updates: {[round(u, 1) for u in used]} MB")
    assert used[-1] < 1.15 * used[0]
    assert notebook.errors == []


def test_a_hundred_executions_leave_one_plot(notebook):
    count = "print(len(ipywidgets.widgets.widget._instances), threading.active_count())"
    notebook.open(SETUP.replace("NAME", "'hundred'"), "view", count)
    notebook.run(0)
    notebook.run(2)
    before = notebook.output(2).inner_text()
    for _ in range(100):
        notebook.run(1)
    notebook.page.wait_for_timeout(4000)
    notebook.run(2)
    plots = notebook.output(1).locator(".js-plotly-plot").count()
    say(f"widgets and threads before: {before}, after: {notebook.output(2).inner_text()}")
    assert plots == 1
    assert notebook.output(2).inner_text() == before
    # plotly asked for its width in the moment between two executions, when nothing is drawn
    assert [error for error in notebook.errors if "_guiEditing" not in error] == []


def test_the_first_curve_comes_within_a_second(notebook):
    log = """directory.append_metrics("m", 0, 0, {"train/total_loss": 1.0})
directory.append_metrics("m", 0, 1, {"train/total_loss": 0.9})
print(time.time())"""
    notebook.open(SETUP.replace("NAME", "'first'"), log)
    notebook.run(0)
    notebook.page.locator(".js-plotly-plot").first.wait_for()
    notebook.page.wait_for_timeout(4000)
    notebook.page.evaluate(
        """() => { const look = () => {
            const line = document.querySelector('.js-line');
            if (line && line.getAttribute('d')) window.drawnAt = Date.now() / 1000;
            else setTimeout(look, 10);
        }; look(); }"""
    )
    notebook.run(1)
    notebook.page.wait_for_function("() => window.drawnAt", timeout=20_000)
    seconds = notebook.page.evaluate("() => window.drawnAt") - float(
        notebook.output(1).inner_text()
    )
    say(f"first curve on the page {seconds:.2f} s after the first logged value")
    assert seconds < 3
