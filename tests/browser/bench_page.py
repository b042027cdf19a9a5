"""What live views cost the page: ``pytest -s tests/browser/bench_page.py``.

Aims: the page's memory stays flat over 10 000 updates; a hundred executions of the dashboard's cell
leave one plot in the page and no more widgets or threads in the kernel, nor memory of the page beyond what
JupyterLab itself keeps of an execution; a curve is on the page within
a second of the first logged value; a form is shown within 0.3 s.
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


FINISHED = """import gc, threading
import ipywidgets
import mattertune_nb as mt
config = mt.demo_config("runs", "hundred")
config.data.train.index = config.data.validation.index = ":6"
config.trainer.max_epochs = 2
mt.MatterTuner(config).tune()
run = mt.Run.attach("runs/hundred")
"""
COUNT = """gc.collect()
print(len(ipywidgets.widgets.widget._instances), threading.active_count())"""
COUNT_CONTEXTS = """
window.contexts = [];
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const context = original.call(this, kind, ...rest);
    if (context && kind.startsWith('webgl')) window.contexts.push(new WeakRef(context));
    return context;
};
"""
ALIVE = "() => new Set(window.contexts.map(c => c.deref()).filter(c => c)).size"


def test_a_hundred_executions_of_the_dashboards_cell_leak_nothing(notebook):
    page = notebook.page
    page.add_init_script(COUNT_CONTEXTS)
    notebook.open(FINISHED, "run.dashboard()", COUNT, "print(1)")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    notebook.run(0)
    counts, used, contexts, nodes = [], [], [], []
    for n in range(1, 101):
        notebook.run(1)
        if n in (10, 50, 100):
            notebook.output(1).locator(".js-plotly-plot").wait_for()
            notebook.run(2)
            page.wait_for_timeout(4000)
            counts.append(notebook.output(2).inner_text().strip())
            used.append(heap(session))
            contexts.append(page.evaluate(ALIVE))
            nodes.append(page.evaluate("document.querySelectorAll('*').length"))
    growth = (used[2] - used[0]) / 90
    for _ in range(50):
        notebook.run(3)
    page.wait_for_timeout(4000)
    of_print = (heap(session) - used[2]) / 50
    say(
        f"after 10, 50 and 100 executions: widgets and threads {counts}, WebGL contexts {contexts}, "
        f"elements {nodes}, page memory {[round(u, 1) for u in used]} MB, {growth:.2f} MB an execution "
        f"({of_print:.2f} MB for a cell that prints)"
    )
    assert counts[0] == counts[1] == counts[2]
    assert max(contexts) == contexts[0] <= 1
    assert notebook.output(1).locator(".js-plotly-plot").count() == 1
    assert nodes[2] <= nodes[0] + 10
    # JupyterLab itself keeps some of each execution
    assert growth < 2 * of_print
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


@pytest.mark.parametrize(
    ("form", "label"), [("TrainerForm", "Epochs"), ("TunerForm", "Validation frames")]
)
def test_a_form_is_shown_at_once(form, label, notebook):
    made = f"""start, cpu = time.time(), time.thread_time()
form = mt.{form}()
display(form)
print(start, time.thread_time() - cpu)"""
    notebook.open(f"import time\nimport mattertune_nb as mt\nmt.{form}", made, heading="A form")
    notebook.run(0)
    notebook.page.evaluate(
        """label => { const look = () => {
            const seen = [...document.querySelectorAll('.jp-OutputArea label')].some(
                e => e.textContent.trim() === label && e.offsetParent);
            if (seen) window.seenAt = Date.now() / 1000;
            else setTimeout(look, 10);
        }; look(); }""",
        label,
    )
    notebook.run(1)
    notebook.page.wait_for_function("() => window.seenAt", timeout=60_000)
    start, cpu = map(float, notebook.output(1).inner_text().strip().splitlines()[-1].split())
    seen = notebook.page.evaluate("() => window.seenAt") - start
    say(f"{form} seen {seen:.2f} s after its cell began, {cpu:.2f} s of the kernel's processor")
    # the aim is 0.3 s on a quiet machine
    assert cpu < 0.3
    assert seen < 3
