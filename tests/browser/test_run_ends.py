"""The end of a run, of a wait and of a kernel, as the page tells them."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from tests.browser.test_live import SMALL, restart_kernel, wait_for

pytestmark = pytest.mark.browser

START = "run = mt.MatterTuner(config).start()\nrun.dashboard()"


def test_after_a_restart_of_the_kernel_nothing_claims_to_be_running(notebook):
    notebook.open(
        SMALL.format(name="lost", epochs=1000),
        START,
        "mt.runs()",
        "run = mt.Run.attach('runs/lost')\nrun.dashboard()",
        "run.wait()",
    )
    for cell in (0, 1):
        notebook.run(cell)
    view, table = notebook.output(1), notebook.output(2)
    view.get_by_text("structures/s").wait_for(timeout=120_000)
    notebook.run(2)
    table.locator("tr", has_text="lost").get_by_text("running", exact=True).wait_for()
    assert not view.get_by_text("disconnected").is_visible()
    notebook.run(4, wait=False)
    line = notebook.output(4)
    at_work = line.get_by_text("running, step").filter(visible=True)
    at_work.wait_for()
    restart_kernel(notebook)
    view.get_by_text("disconnected: run the cell again").wait_for()
    line.get_by_text("disconnected: run the cell again").wait_for()
    assert at_work.count() == 0
    notebook.picture("disconnected")
    assert not view.get_by_text("running", exact=True).is_visible()
    assert not view.get_by_text("structures/s").is_visible()
    assert not table.get_by_text("running", exact=True).is_visible()
    # the run itself goes on, and is found again
    notebook.run(0)
    notebook.run(3)
    output = notebook.output(3)
    output.get_by_text("running", exact=True).wait_for(timeout=60_000)
    output.get_by_role("button", name="Stop").click()
    output.get_by_text("stopped", exact=True).wait_for(timeout=120_000)


def test_a_kernel_that_died_and_was_started_anew_leaves_nothing_running(notebook):
    notebook.open(
        SMALL.format(name="died", epochs=1000),
        START,
        "import os\nos.kill(os.getpid(), 9)",
    )
    for cell in (0, 1):
        notebook.run(cell)
    view = notebook.output(1)
    view.get_by_text("structures/s").wait_for(timeout=120_000)
    notebook.run(2, wait=False)
    view.get_by_text("disconnected: run the cell again").wait_for(timeout=60_000)
    assert not view.get_by_text("running", exact=True).is_visible()
    mt.Run.attach(notebook.folder / "runs" / "died").stop()


def test_stop_is_heard_while_a_cell_waits_for_the_run(notebook):
    notebook.open(SMALL.format(name="awaited", epochs=1000), START, "print(run.wait().state)")
    for cell in (0, 1):
        notebook.run(cell)
    notebook.output(1).get_by_text("structures/s").wait_for(timeout=120_000)
    notebook.run(2, wait=False)
    notebook.page.wait_for_timeout(2000)
    run = mt.Run.attach(notebook.folder / "runs" / "awaited")
    assert notebook.page.locator(".jp-InputPrompt", has_text="[*]").count() == 1
    pressed_at = run.status().step
    notebook.output(1).get_by_role("button", name="Stop").click()
    wait_for(notebook, 2, 60)
    # the line of the wait has its numbers unbroken
    told = notebook.output(2).inner_text().split()
    assert told[:4] == ["awaited:", "stopped", "at", "step"]
    assert told[-1] == "stopped"
    assert run.status().state == "stopped"
    # steps of two structures take some ten milliseconds, a click and the wait's next look some 200
    assert run.status().step - pressed_at < 60
    assert not run.directory.is_stopping()
    assert notebook.errors == []


def test_the_title_of_the_tab_tells_of_an_end_until_the_page_is_seen(notebook):
    notebook.open(
        SMALL.format(name="told", epochs=2), START, "mt.Run.attach('runs/told').dashboard()"
    )
    page = notebook.page
    for cell in (0, 1):
        notebook.run(cell)
    own = page.title()
    page.wait_for_function("document.title === '✓ finished – told'", timeout=180_000)
    page.mouse.move(300, 300)
    page.mouse.move(310, 310)
    page.wait_for_function("title => document.title === title", arg=own)
    # a run that had ended before is no news
    notebook.run(2)
    notebook.output(2).get_by_text("finished", exact=True).wait_for()
    page.wait_for_timeout(1500)
    assert "told" not in page.title().replace(notebook.name, "")
    assert notebook.errors == []


def test_the_browser_is_asked_by_a_click_and_tells_of_an_end(notebook):
    notebook.page.add_init_script(
        """window.shown = [];
        class Fake { static permission = 'default';
          static async requestPermission() { return Fake.permission = 'granted'; }
          constructor(title, options) { window.shown.push([title, options.body]); } close() {} }
        window.Notification = Fake;
        document.hasFocus = () => false;"""
    )
    notebook.open(SMALL.format(name="rung", epochs=2), START)
    for cell in (0, 1):
        notebook.run(cell)
    output = notebook.output(1)
    output.get_by_role("button", name="Tell me when the run ends").click()
    output.get_by_role("button", name="The browser tells you when the run ends").wait_for()
    notebook.page.wait_for_function("window.shown.length > 0", timeout=180_000)
    ((title, body),) = notebook.page.evaluate("window.shown")
    assert title == "✓ finished – rung"
    assert body == str(mt.Run.attach(notebook.folder / "runs" / "rung").verdict())
    assert "Forces" in body
