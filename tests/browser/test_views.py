"""Structures and predictions in JupyterLab, with a real mouse."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser


def pixels(locator) -> np.ndarray:
    """Return what is seen of an element, as grey values from 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("L"), float)


def wait_until_drawn(notebook, locator) -> np.ndarray:
    """Wait until something is seen on a canvas; judged by its pixels, not by what WebGL says."""
    for _ in range(100):
        seen = pixels(locator)
        if seen.var() > 50:
            return seen
        notebook.page.wait_for_timeout(200)
    msg = "the canvas stays empty"
    raise AssertionError(msg)


def wait_until_changed(notebook, locator, before: np.ndarray) -> None:
    for _ in range(100):
        seen = pixels(locator)
        if seen.shape != before.shape or np.abs(seen - before).mean() > 0.5:
            return
        notebook.page.wait_for_timeout(200)
    msg = "the picture stays the same"
    raise AssertionError(msg)


def canvas(output):
    """Return the canvas of a live viewer in an output."""
    return output.locator(".nglview-container canvas, .nglview canvas, canvas").first


PARITY = """import mattertune_nb as mt
config = mt.demo_config("runs", "parity")
config.data.train.index = config.data.validation.index = ":24"
config.data.batch_size = 4
config.trainer.max_epochs = 3
run = mt.MatterTuner(config).start()
run.wait()
view = mt.parity(run, mt.demo_data("test"))
view"""


def test_a_parity_point_that_is_clicked_shows_its_structure(notebook):
    notebook.open(PARITY, "print(view.structure.slider.value)")
    notebook.run(0, wait=False)
    output = notebook.output(0)
    canvas(output).wait_for(timeout=300_000)
    before = wait_until_drawn(notebook, canvas(output))
    points = output.locator(".scatterlayer .trace.scatter .points path")
    points.first.wait_for()
    # energies come first, one point a frame
    point = points.nth(7)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    notebook.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    notebook.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    output.get_by_text("frame 7").wait_for()
    wait_until_changed(notebook, canvas(output), before)
    notebook.run(1)
    assert notebook.output(1).inner_text().strip() == "7"
    output.get_by_label("colour by").select_option("element")
    output.get_by_text("O", exact=False).first.wait_for()
    notebook.page.set_viewport_size({"width": 1366, "height": 1400})
    output.get_by_label("colour by").select_option("force norm")
    output.get_by_text("force (meV/Å)").wait_for()
    # the buttons above a plot hide once the mouse is elsewhere
    notebook.page.mouse.move(5, 5)
    output.locator(".modebar").wait_for(state="attached")
    notebook.page.wait_for_timeout(600)
    output.screenshot(path=notebook.artefact("readme_parity"))
    assert notebook.errors == []


def test_twenty_views_blank_none_and_each_wakes_on_a_click(notebook):
    code = "mt.view(mt.demo_data('test'))"
    notebook.open("import mattertune_nb as mt", *[code] * 20)
    notebook.run(0)
    page = notebook.page
    for cell in range(1, 21):
        notebook.run(cell)
        canvas(notebook.output(cell)).wait_for(timeout=60_000)
    first = notebook.output(1)
    picture = first.get_by_role("button", name="Click to turn")
    picture.wait_for()
    assert pixels(picture).var() > 50
    for cell in (1, 2, 20):
        output = notebook.output(cell)
        output.scroll_into_view_if_needed()
        asleep = output.get_by_role("button", name="Click to turn")
        if asleep.count():
            asleep.click()
        wait_until_drawn(notebook, canvas(output))
    assert page.locator(".jp-OutputArea canvas").count() <= 6
    assert notebook.errors == []


@pytest.mark.parametrize("notebook", ["light", "dark"], indirect=True)
def test_a_range_that_is_brushed_leaves_its_frames(notebook):
    notebook.open(
        "import mattertune_nb as mt\nview = mt.explore(mt.demo_data('test'))\nview",
        "print(len(view.selected))",
    )
    notebook.run(0)
    page, output = notebook.page, notebook.output(0)
    wait_until_drawn(notebook, canvas(output))
    box = output.locator(".nsewdrag[data-subplot='x3y3']").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.55 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], middle, steps=5)
    page.mouse.move(box["x"] + box["width"] - 2, middle, steps=5)
    page.mouse.up()
    output.get_by_role("button", name="All frames").and_(output.locator(":enabled")).wait_for()
    notebook.run(1)
    assert 0 < int(notebook.output(1).inner_text()) < 60
    notebook.picture(f"explore-{notebook.scheme}")
    output.get_by_role("button", name="Show frame").or_(
        output.locator("button", has_text="frame")
    ).first.press("Enter")
    output.get_by_text("60 of 60 frames").wait_for()
    assert notebook.errors == []


def test_the_keyboard_changes_frame_and_arrows(notebook):
    notebook.open("import mattertune_nb as mt\nview = mt.view(mt.demo_data('test'))\nview")
    notebook.run(0)
    output = notebook.output(0)
    before = wait_until_drawn(notebook, canvas(output))
    output.get_by_role("slider").press("ArrowRight")
    output.get_by_text("frame 1").wait_for()
    wait_until_changed(notebook, canvas(output), before)
    before = pixels(canvas(output))
    output.get_by_label("force").select_option("label")
    output.get_by_text("arrows: force").wait_for()
    wait_until_changed(notebook, canvas(output), before)
    output.get_by_role("button", name="Picture").press("Enter")
    picture = output.get_by_role("button", name="Click to turn")
    picture.wait_for()
    picture.press("Enter")
    wait_until_drawn(notebook, canvas(output))
    assert notebook.errors == []


def test_a_saved_notebook_is_small_and_a_cell_that_is_executed_again_leaks_nothing(notebook, lab):
    again = "mt.view(mt.demo_data('test'), forces='label')"
    count = "import ipywidgets\nprint(len(ipywidgets.widgets.widget._instances))"
    notebook.open("import mattertune_nb as mt", again, "mt.explore(mt.demo_data('test'))", count)
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    canvas(notebook.output(2)).wait_for(timeout=60_000)
    notebook.run(3)
    first = notebook.output(3).inner_text()
    for _ in range(5):
        notebook.run(1)
        canvas(notebook.output(1)).wait_for()
    notebook.run(3)
    assert notebook.output(3).inner_text() == first
    assert notebook.page.locator(".jp-OutputArea canvas").count() <= 6
    notebook.page.keyboard.press("Control+s")
    notebook.page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    path = lab[0] / notebook.name
    text = path.read_text()
    assert len(text) < 1_000_000
    assert text.count('"image/png"') == 2
    assert notebook.errors == []
