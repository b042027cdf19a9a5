"""The table of runs with a real mouse: sorted, filtered, renamed, noted, deleted, and after a reload."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.long]

RUNS = """import mattertune_nb as mt
for name, epochs, n in (("b", 2, 8), ("c-kept", 1, 12)):
    config = mt.demo_config("tabled", name)
    config.data.train.index = config.data.validation.index = f":{n}"
    config.trainer.max_epochs = epochs
    mt.MatterTuner(config).tune()
config.trainer.num_sanity_val_steps = config.trainer.max_epochs = 1
config.run.name = "a-kept"
run = mt.MatterTuner(config).start()
mt.runs("tabled")"""
NAMES = """table => [...table.querySelectorAll('tbody')]
    .map(run => run.querySelector('td[data-column=run]').innerText)"""


def test_a_table_of_runs_is_used_with_the_mouse_and_outlives_a_reload(notebook):
    notebook.open(RUNS)
    notebook.page.set_viewport_size({"width": 1366, "height": 768})
    notebook.run(0)
    page, table = notebook.page, notebook.output(0).locator(".mt-runs")

    def row(name: str):
        return table.locator("tbody", has=page.locator("td[data-column=run]", has_text=name))

    def names() -> list[str]:
        return table.evaluate(NAMES)

    # a name that is being typed outlives the end of a run that trains meanwhile
    row("b").get_by_role("button", name="Note about b").click()
    row("b").get_by_label("note b").fill("half typed")
    row("a-kept").get_by_text("finished", exact=True).wait_for(timeout=180_000)
    assert row("b").get_by_label("note b").input_value() == "half typed"
    row("b").get_by_label("note b").press("Enter")
    row("b").get_by_text("note: half typed").wait_for()
    assert names() == ["a-kept", "c-kept", "b"]

    table.get_by_role("button", name="Sort by run").click()
    assert names() == ["a-kept", "b", "c-kept"]
    table.get_by_role("button", name="Sort by run").click()
    assert names() == ["c-kept", "b", "a-kept"]
    table.get_by_label("Filter runs").fill("-kept")
    table.get_by_text("2 of 3 runs").wait_for()
    assert names() == ["c-kept", "a-kept"]
    notebook.picture("runs-table")
    setting = row("c-kept").get_by_title("In a config: trainer.max_epochs")
    assert setting.inner_text() == "Epochs = 1"
    row("c-kept").get_by_role("button", name="Open the dashboard of c-kept").click()
    dashboard = notebook.output(0).get_by_role("tab", name="Curves", exact=True)
    dashboard.wait_for()
    notebook.output(0).get_by_role("button", name="Close").click()
    dashboard.wait_for(state="detached")

    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    page.reload()
    table.get_by_text("2 of 3 runs").wait_for(timeout=60_000)
    assert names() == ["c-kept", "a-kept"]
    assert table.get_by_label("Filter runs").input_value() == "-kept"
    table.get_by_label("Filter runs").fill("")
    assert names() == ["c-kept", "b", "a-kept"]

    row("c-kept").get_by_role("button", name="Rename c-kept").click()
    row("c-kept").get_by_label("rename c-kept").fill("b")
    row("c-kept").get_by_label("rename c-kept").press("Enter")
    taken = table.get_by_text("The run name 'b' is in use")
    taken.wait_for()
    row("c-kept").get_by_role("button", name="Rename c-kept").click()
    taken.wait_for(state="detached")
    row("c-kept").get_by_label("rename c-kept").fill("d-kept")
    row("c-kept").get_by_label("rename c-kept").press("Enter")
    row("d-kept").wait_for()
    assert (notebook.folder / "tabled" / "d-kept").is_dir()
    row("d-kept").get_by_role("button", name="Delete d-kept").click()
    row("d-kept").get_by_role("button", name="Keep d-kept").click()
    assert (notebook.folder / "tabled" / "d-kept").is_dir()
    row("d-kept").get_by_role("button", name="Delete d-kept").click()
    row("d-kept").get_by_role("button", name="Delete d-kept for good").click()
    row("d-kept").wait_for(state="detached")
    assert not (notebook.folder / "tabled" / "d-kept").exists()
    assert names() == ["b", "a-kept"]
    for scheme, width in (("dark", 1366), ("light", 1024)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 768})
        page.wait_for_timeout(1500)
        notebook.picture(f"runs-table-{scheme}-{width}")
        frame = table.locator(".mt-runs-frame")
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth"), width
    assert notebook.errors == []


READ_ANEW = """import threading, time
import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory
for name in ("a", "b"):
    RunDirectory.create(mt.demo_config("held", name))
table = mt.runs("held")
def renew():
    for i in range(600):
        table.folder.set_note("a", f"read {i}")
        table.refresh()
        time.sleep(0.2)
threading.Thread(target=renew, daemon=True).start()
table"""


def test_rows_that_are_read_anew_take_nothing_from_under_mouse_and_keyboard(notebook):
    notebook.open(READ_ANEW)
    notebook.run(0)
    page, table = notebook.page, notebook.output(0).locator(".mt-runs")

    def wait_until_read_anew():
        said = table.get_by_text("note: read").inner_text()
        table.get_by_text("note: read").filter(has_not_text=said).wait_for(timeout=60_000)

    note = table.get_by_role("button", name="Note about b")
    note.focus()
    wait_until_read_anew()
    assert page.evaluate("document.activeElement.ariaLabel") == "Note about b"
    # pressed, and let go of after more than the time between two readings
    note.hover()
    page.mouse.down()
    page.wait_for_timeout(2000)
    page.mouse.up()
    typed = table.get_by_label("note b", exact=True)
    typed.wait_for(timeout=5000)
    typed.fill("alf")
    typed.press("Home")
    wait_until_read_anew()
    page.keyboard.type("h")
    assert typed.input_value() == "half"
    # and who goes on elsewhere is not called back
    table.get_by_label("Filter runs").focus()
    wait_until_read_anew()
    assert page.evaluate("document.activeElement.ariaLabel") == "Filter runs"
    assert notebook.errors == []
