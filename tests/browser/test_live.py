"""The life of a run in JupyterLab: started, watched, stopped, resumed, attached, saved."""

from __future__ import annotations

import shutil

import nbformat
import pytest

import mattertune_nb as mt
from mattertune_nb.demo.quickstart import copy_quickstart

pytestmark = [pytest.mark.browser, pytest.mark.long]

SMALL = """import mattertune_nb as mt
config = mt.demo_config("runs", "{name}")
config.data.train.index = config.data.validation.index = ":12"
config.data.batch_size = 2
config.trainer.max_epochs = {epochs}
config.trainer.log_every_n_steps = 1
"""
DRAWN = """() => [...document.querySelectorAll('.js-line')]
    .reduce((sum, line) => sum + (line.getAttribute('d') || '').length, 0)"""


def wait_for(notebook, cell: int, seconds: float = 300) -> None:
    """Wait until a cell has been executed."""
    notebook.page.wait_for_function(
        "n => /\\[\\d+\\]/.test("
        "document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[n].innerText)",
        arg=cell,
        timeout=1000 * seconds,
    )


def kernel_menu(notebook, command: str) -> None:
    notebook.page.get_by_role("menuitem", name="Kernel").first.click()
    notebook.page.locator(f'.lm-Menu-item[data-command="kernelmenu:{command}"]').click()


def restart_kernel(notebook) -> None:
    page = notebook.page
    kernel_menu(notebook, "restart")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.wait_for_timeout(1500)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=120_000)


def save(notebook) -> nbformat.NotebookNode:
    notebook.page.keyboard.press("Control+s")
    notebook.page.wait_for_timeout(2000)
    path = notebook.folder / notebook.name
    assert path.stat().st_size < 1_000_000
    return nbformat.read(path, as_version=4)


def picture_of(notebook, cell: int, name: str) -> None:
    """Keep a screenshot of what a cell shows, whole."""
    notebook.picture(name)
    page, output = notebook.page, notebook.output(cell)
    size = page.viewport_size
    # what does not fit the window would be covered by the page's own bars
    page.set_viewport_size(size | {"height": int(output.bounding_box()["height"]) + 250})
    output.scroll_into_view_if_needed()
    page.wait_for_timeout(700)
    output.screenshot(path=notebook.artefact(name))
    page.set_viewport_size(size)


def test_the_quickstart_from_start_to_end(notebook, lab):
    """Start, watch, stop, resume, reload, restart the kernel, attach, and go on to the last cell."""
    folder, _ = lab
    shutil.rmtree(folder / "runs", ignore_errors=True)
    copy = copy_quickstart(folder)
    quickstart = nbformat.read(copy, as_version=4)
    cells = [cell.source for cell in quickstart.cells if cell.cell_type == "code"]
    shown = next(i for i, source in enumerate(cells) if source.endswith("run.dashboard()"))
    busy, attach = len(cells), len(cells) + 1
    cells += [
        "import time\ntime.sleep(8)",
        'from pathlib import Path\n(path,) = Path("runs").iterdir()\n'
        "run = mt.Run.attach(path)\nrun.dashboard()",
    ]
    notebook.open(*cells)
    page = notebook.page
    for cell in range(shown):
        notebook.run(cell)
    # word for word: Start is pressed, and the next cell is executed at once; there is one run
    start = notebook.output(shown - 1).locator("button.mod-primary", has_text="Start")
    start.click()
    notebook.run(shown)
    output = notebook.output(shown)
    output.get_by_text("structures/s").wait_for(timeout=120_000)
    page.wait_for_function(f"({DRAWN})() > 0", timeout=120_000)

    # the curves grow while the kernel is busy with another cell
    drawn = page.evaluate(DRAWN)
    notebook.run(busy, wait=False)
    page.wait_for_function(f"({DRAWN})() > {drawn}", timeout=30_000)
    assert notebook.page.locator(".jp-InputPrompt", has_text="[*]").count() == 1
    wait_for(notebook, busy)

    output.get_by_role("button", name="Stop").click()
    output.get_by_text("stopped", exact=True).wait_for(timeout=120_000)
    (run,) = [mt.Run.attach(path) for path in (folder / "runs").iterdir()]
    stopped_at = run.status().step
    assert run.status().state == "stopped"
    output.get_by_role("button", name="Resume").click()
    output.get_by_text("running", exact=True).wait_for(timeout=120_000)

    # the run goes on while page and kernel are gone; attached again, all of its curves are there
    save(notebook)
    notebook.open()
    restart_kernel(notebook)
    notebook.run(0)
    notebook.run(attach)
    output = notebook.output(attach)
    output.get_by_text("running", exact=True).wait_for(timeout=120_000)
    page.wait_for_function(f"({DRAWN})() > {drawn}", timeout=120_000)
    picture_of(notebook, attach, "dashboard_running")
    for cell in range(shown + 1, busy):
        notebook.run(cell, wait=False)
        wait_for(notebook, cell)
    assert run.status().state == "finished"
    steps = [record["step"] for record in run.metrics() if "train/total_loss" in record]
    assert steps == sorted(set(steps))
    assert max(steps) > stopped_at
    page.wait_for_timeout(2000)
    picture_of(notebook, attach, "readme_curves")
    save(notebook)
    assert notebook.errors == []


def test_what_is_saved_is_seen_again_where_no_kernel_knows_the_widgets(notebook):
    train = "mt.MatterTuner(config).tune()\nrun = mt.Run.attach('runs/saved')"
    code = SMALL.format(name="saved", epochs=2) + train
    notebook.open(code, "run.dashboard()", "mt.compare(run)")
    notebook.run(0, wait=False)
    wait_for(notebook, 0)
    for cell in (1, 2):
        notebook.run(cell)
        notebook.output(cell).locator(".js-plotly-plot").wait_for()
        # beside a live widget the picture takes no room
        assert not notebook.output(cell).locator("img.mattertune-still").is_visible()
    notebook.page.wait_for_timeout(2000)
    saved = save(notebook)
    assert all("image/png" in cell.outputs[0].data for cell in saved.cells[1:3])
    # a new kernel knows nothing of the widgets
    restart_kernel(notebook)
    notebook.open()
    for cell in (1, 2):
        image = notebook.output(cell).locator("img.mattertune-still")
        image.wait_for()
        assert image.bounding_box()["width"] > 300
        assert not notebook.output(cell).get_by_text("model not found").is_visible()
    notebook.picture("saved")
    own = [error for error in notebook.errors if "widget model not found" not in error]
    assert own == []


@pytest.mark.parametrize("notebook", ["light", "dark"], indirect=True)
def test_live_curves_of_a_fit_in_the_cell_and_an_interrupt(notebook, request):
    name = request.node.callspec.params["notebook"]
    notebook.open(
        SMALL.format(name=f"cell-{name}", epochs=500),
        "curves = mt.LiveCurves()\nmodel, trainer = mt.MatterTuner(config).tune(callbacks=[curves])",
        "print(trainer.global_step > 3, model.property_predictor() is not None)",
    )
    page = notebook.page
    notebook.run(0)
    notebook.run(1, wait=False)
    output = notebook.output(1)
    output.get_by_text("structures/s").wait_for(timeout=120_000)
    page.wait_for_function(f"({DRAWN})() > 1000", timeout=180_000)
    # the switch works while the kernel is busy
    output.locator("select").nth(1).select_option("Logarithmic")
    page.wait_for_timeout(1500)
    picture_of(notebook, 1, f"live_curves_{name}")
    kernel_menu(notebook, "interrupt")
    wait_for(notebook, 1, 60)
    output.get_by_text("stopped", exact=True).wait_for()
    assert "SystemExit" not in output.inner_text()
    notebook.run(2)
    assert notebook.output(2).inner_text().strip() == "True True"
    page.wait_for_function(f"({DRAWN})() > 1000")
    save(notebook)
    assert notebook.errors == []


def test_without_a_widget_manager_plain_html_is_updated_in_place(notebook):
    notebook.open(
        "import os\nos.environ['MATTERTUNE_NB_PLAIN'] = '1'\n"
        + SMALL.format(name="plain", epochs=60),
        "run = mt.MatterTuner(config).start()\nrun.dashboard()",
        "run.stop()\nrun.wait(60)",
    )
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    output.get_by_text("structures/s").wait_for(timeout=120_000)
    first = output.inner_text()
    output.locator("img").wait_for(timeout=120_000)
    notebook.page.wait_for_function(
        "text => document.querySelectorAll('.jp-CodeCell')[1].innerText.indexOf(text) < 0",
        arg=first.splitlines()[0],
        timeout=120_000,
    )
    assert output.locator(".jp-OutputArea-child").count() == 1
    # of the kernel nothing is said that a page without widgets cannot know
    assert "disconnected" not in output.inner_text()
    notebook.picture("plain_html")
    notebook.run(2)
    assert notebook.errors == []
