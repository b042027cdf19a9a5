"""The form of a run in a browser: what is pressed moves nothing, and what is long shows its end."""

from __future__ import annotations

import pytest

import mattertune_nb as mt
from tests.browser.test_live import SMALL

pytestmark = pytest.mark.browser

FORM = """import mattertune_nb as mt
config = mt.demo_config("runs", "stays")
config.data.train.index = config.data.validation.index = ":4"
config.trainer.max_epochs = 1
form = mt.TunerForm(config)
form"""
BOXES = """form => [form.querySelector('.widget-tab'), form.querySelector('.mt-tools'),
    form.closest('.jp-Cell').nextElementSibling].map(part => {
        const box = part.getBoundingClientRect(); return [box.left, box.top, box.width, box.height] })"""


@pytest.mark.parametrize("width", [1366, pytest.param(1024, marks=pytest.mark.long)])
def test_start_moves_nothing_from_the_press_to_the_end(notebook, lab, width):
    notebook.page.set_viewport_size({"width": width, "height": 768})
    name = f"stays-{width}"
    notebook.open(FORM.replace('"stays"', f'"{name}"'), "form.run.wait(100).state")
    notebook.run(0)
    page, output = notebook.page, notebook.output(0)
    form = output.locator(".mt-run-form")
    output.get_by_text("of memory").or_(output.get_by_text("GB")).first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    before = form.evaluate(BOXES)
    output.locator("button.mod-primary", has_text="Start").click()
    for words in ("Training …", "has finished"):
        output.get_by_text(words).first.wait_for(timeout=120_000)
        assert form.evaluate(BOXES) == before, words
    notebook.picture(f"form_started-{width}")
    # the curves are a click away, in the width of the cell
    output.get_by_role("button", name="Open the dashboard").click()
    plot = output.locator(".js-plotly-plot .main-svg").first
    plot.wait_for()
    # it is told its width once it is drawn, which a busy machine takes seconds for
    page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot .main-svg').clientWidth"
        " > 0.8 * document.querySelector('.mt-run-form').clientWidth",
        timeout=20_000,
    )
    tabs = output.locator(".mt-sections > .lm-TabBar .lm-TabBar-tabLabel")
    cut = "labels => labels.filter(l => l.scrollWidth > l.clientWidth + 1).map(l => l.textContent)"
    assert tabs.evaluate_all(cut) == []
    notebook.picture(f"form_dashboard-{width}")
    output.get_by_role("button", name="Back to settings").click()
    form.locator(".widget-tab").first.wait_for()
    assert form.evaluate(BOXES) == before
    assert notebook.errors == []


def test_a_start_that_is_refused_moves_nothing_either(notebook):
    notebook.page.set_viewport_size({"width": 1366, "height": 768})
    notebook.open(FORM.replace('"stays"', '"refused"').replace("= 1", "= 30"), "")
    notebook.run(0)
    output = notebook.output(0)
    form = output.locator(".mt-run-form")
    output.get_by_text("on disk").first.wait_for(timeout=120_000)
    (notebook.folder / "runs" / "refused").mkdir(parents=True)
    (notebook.folder / "runs" / "refused" / "notes.txt").write_text("of another run\n")
    before = form.evaluate(BOXES)
    output.locator("button.mod-primary", has_text="Start").click()
    output.get_by_role("alert").first.wait_for(timeout=60_000)
    notebook.picture("form_refused")
    assert form.evaluate(BOXES) == before


def test_a_long_path_shows_its_end_until_it_is_typed_in(notebook, lab):
    folder = lab[0] / ("a_folder_with_a_long_name_" * 4) / ("and_another_one_in_it_" * 4)
    folder.mkdir(parents=True)
    path = folder / "frames.xyz"
    path.write_bytes(mt.demo_data("train").read_bytes())
    notebook.page.set_viewport_size({"width": 1024, "height": 768})
    notebook.open(
        "import mattertune_nb as mt\nfrom pathlib import Path\n"
        f"data = mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src={str(path)!r}))\n"
        "form = mt.TunerForm(mt.MatterTunerConfig(model=mt.CHGNetBackboneConfig(), data=data))\nform",
        "form.config = form.config.model_copy(update={'run': mt.RunConfig(root=data.dataset.src)})",
    )
    notebook.run(0)
    output = notebook.output(0)
    field = output.get_by_label("File", exact=True)
    at_end = "field => field.scrollWidth - field.clientWidth - field.scrollLeft"
    notebook.page.wait_for_timeout(1000)
    assert field.evaluate("field => field.scrollWidth - field.clientWidth") > 100
    assert field.evaluate(at_end) < 2
    assert field.get_attribute("title") == str(path)
    notebook.picture("long_path")
    # who types is left alone, and what the kernel sets is seen as well
    field.click()
    notebook.page.keyboard.press("Home")
    notebook.page.wait_for_timeout(1000)
    assert field.evaluate("field => field.scrollLeft") == 0
    notebook.run(1)
    output.get_by_role("tab", name="Run", exact=True).click()
    notebook.page.wait_for_timeout(1000)
    root = output.locator(".mt-path input").filter(visible=True).first
    assert root.evaluate("field => field.scrollWidth - field.clientWidth") > 100
    assert root.evaluate(at_end) < 2
    assert notebook.errors == []


def test_a_tab_or_section_that_is_opened_stays_where_it_was_pressed(notebook):
    notebook.page.set_viewport_size({"width": 1366, "height": 768})
    above = "import mattertune_nb as mt" + 12 * "\n#"
    notebook.open(above, "mt.TunerForm(mt.demo_config())", *12 * ["#\n#\n#\n#\n#\n#"])
    notebook.run(0)
    notebook.run(1)
    page, output = notebook.page, notebook.output(1)
    output.get_by_text("60 test").wait_for(timeout=60_000)
    # the cell below is in sight, which the browser would keep in place
    output.evaluate("area => area.scrollIntoView({block: 'start'})")
    tabs = [output.get_by_role("tab", name=n, exact=True) for n in ("Model", "Training", "Data")]
    for pressed in (*tabs, output.get_by_role("button", name="All settings").first):
        box = pressed.bounding_box()
        assert 90 < box["y"] < 738
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(1500)
        assert abs(pressed.bounding_box()["y"] - box["y"]) < 2


def test_no_tab_of_a_dashboard_is_cut_on_a_narrow_page(notebook):
    notebook.page.set_viewport_size({"width": 1024, "height": 768})
    code = SMALL.format(name="narrow", epochs=1) + "run = mt.MatterTuner(config).start()"
    notebook.open(f"{code}\nrun.dashboard()", "run.stop()")
    notebook.run(0)
    labels = notebook.output(0).locator(".mt-sections > .lm-TabBar .lm-TabBar-tabLabel")
    labels.first.wait_for()
    cut = "labels => labels.filter(l => l.scrollWidth > l.clientWidth + 1).map(l => l.textContent)"
    assert labels.evaluate_all(cut) == []
    notebook.run(1)


@pytest.mark.long
def test_the_list_of_files_keeps_within_a_narrow_form(notebook):
    notebook.page.set_viewport_size({"width": 1024, "height": 768})
    notebook.open("import mattertune_nb as mt\nmt.TunerForm(mt.demo_config())")
    notebook.run(0)
    output = notebook.output(0)
    browse = output.get_by_role("button", name="Browse").first
    before = browse.bounding_box()
    browse.click()
    output.get_by_role("button", name="Folder above").first.wait_for()
    assert browse.bounding_box() == before
    edge = output.locator(".mt-run-form").bounding_box()
    for part in output.locator(".mt-chooser:visible, .mt-chooser:visible *").all():
        box = part.bounding_box()
        assert box is None or box["x"] + box["width"] <= edge["x"] + edge["width"]
    assert notebook.errors == []
