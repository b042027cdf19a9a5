"""Structures and predictions in JupyterLab, with a real mouse."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from mattertune_nb.config.unbroken import unbroken

pytestmark = [pytest.mark.browser, pytest.mark.long]


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


LISTENING = """() => [...document.querySelectorAll('.js-plotly-plot')]
    .some(plot => plot._ev?._events?.plotly_selected)"""
PARITY = """import mattertune_nb as mt
config = mt.demo_config("runs", "parity")
config.data.train.index = config.data.validation.index = ":24"
config.data.batch_size = 4
config.trainer.max_epochs = 3
run = mt.MatterTuner(config).start()
run.wait()"""

FARTHEST = """import numpy as np
forces = view.data["forces"]
row = int(np.argmax(forces.label))
print(row, forces.sentence(row), sep="; ")"""


def test_a_parity_point_that_is_clicked_is_ringed_and_its_atom_shown_beside_it(notebook):
    notebook.open(PARITY, "view = mt.parity(run, mt.demo_data('test'))\nview", FARTHEST)
    page = notebook.page
    page.set_viewport_size({"width": 1366, "height": 768})
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    canvas(output).wait_for(timeout=300_000)
    before = wait_until_drawn(notebook, canvas(output))
    notebook.run(2)
    row, _, sentence = notebook.output(2).inner_text().strip().partition("; ")
    # a laptop's screen holds plot and structure beside each other, also with the file browser open
    output.get_by_label("colour by").evaluate("box => box.scrollIntoView()")
    plot = output.locator(".plot-container").first.bounding_box()
    seen = canvas(output).bounding_box()
    assert page.locator("#filebrowser").is_visible()
    assert plot["x"] + plot["width"] <= seen["x"]
    for box in (plot, seen):
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 768
        assert box["x"] + box["width"] <= 1366
    assert output.locator(".trace.scatter .points path").count() == 60 * 9 * 3
    point = output.locator(".trace.scatter .points path").nth(int(row)).bounding_box()
    middle = point["x"] + point["width"] / 2, point["y"] + point["height"] / 2
    page.mouse.move(*middle)
    tip = output.locator(".hoverlayer .hovertext")
    tip.wait_for()
    assert "ethanol_test.xyz, frame" in tip.text_content()
    assert "/" not in tip.text_content().split(", frame")[0]
    assert "label " in tip.text_content()
    below = output.locator(".plot-container .subplot.x2y2").first.bounding_box()
    box = tip.bounding_box()
    assert box["y"] + box["height"] <= below["y"]
    page.mouse.click(*middle)
    output.get_by_text(unbroken(sentence)).wait_for()
    wait_until_changed(notebook, canvas(output), before)
    # one point more: the ring, around the point
    ring = output.locator(".trace.scatter .points path").nth(60 * 9 * 3).bounding_box()
    assert ring["width"] > point["width"]
    # the figure may have moved in the page meanwhile
    point = output.locator(".trace.scatter .points path").nth(int(row)).bounding_box()
    for side, length in (("x", "width"), ("y", "height")):
        assert abs(ring[side] + ring[length] / 2 - point[side] - point[length] / 2) < 2
    notebook.picture("parity-light")
    output.get_by_label("colour by").select_option("element")
    page.mouse.move(5, 5)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(1500)
    notebook.picture("parity-dark")
    page.set_viewport_size({"width": 1024, "height": 768})
    output.get_by_label("colour by").select_option("distance to training")
    output.get_by_text("distance to training (neighbours)").wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    notebook.picture("parity-1024")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1366, "height": 900})
    output.get_by_label("colour by").select_option("force")
    output.get_by_text("force (meV/Å)").first.wait_for()
    # the buttons above a plot hide once the mouse is elsewhere
    page.mouse.move(5, 5)
    page.wait_for_timeout(1000)
    output.screenshot(path=notebook.artefact("readme_parity"))
    with page.expect_download() as download:
        output.get_by_label("Download this view").select_option("csv")
    assert download.value.suggested_filename == "parity.csv"
    assert "forces label (meV/Å)" in download.value.path().read_text(encoding="utf-8")
    assert notebook.errors == []


def test_a_long_comparison_shows_its_first_results_and_is_cancelled_while_the_kernel_is_free(
    notebook,
):
    code = """import ase.io, mattertune_nb as mt
model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
frames = 20 * ase.io.read(mt.demo_data("test"), ":")
view = mt.before_after(model, frames)
view"""
    notebook.open(
        code,
        "print(view.work.state)",
        "print(view.work.state, len(view.stages['tuned']['energy']))",
    )
    notebook.run(0)
    output = notebook.output(0)
    output.get_by_text("of 1200 frames").wait_for(timeout=120_000)
    output.locator("td", has_text="no better").first.wait_for()
    notebook.run(1)
    assert notebook.output(1).inner_text().strip() == "running"
    notebook.picture("before-after-running")
    output.get_by_role("button", name="Cancel").click()
    output.get_by_text("Cancelled:").wait_for(timeout=60_000)
    notebook.run(2)
    state, predicted = notebook.output(2).inner_text().split()
    assert state == "cancelled"
    assert 0 < int(predicted) < 1200
    output.get_by_text(f"Cancelled: {predicted} of 1200 frames are shown.").wait_for()
    notebook.picture("before-after-cancelled")
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
    picture = first.get_by_role("button", name="Click to rotate")
    picture.wait_for()
    assert pixels(picture).var() > 50
    for cell in (1, 2, 20):
        output = notebook.output(cell)
        output.scroll_into_view_if_needed()
        asleep = output.get_by_role("button", name="Click to rotate")
        if asleep.count():
            asleep.click()
        wait_until_drawn(notebook, canvas(output))
    assert page.locator(".jp-OutputArea canvas").count() <= 6
    assert notebook.errors == []


@pytest.mark.parametrize("notebook", ["light", "dark"], indirect=True)
def test_plots_of_a_data_set_are_linked_with_each_other_and_with_the_structure(notebook):
    notebook.open("import mattertune_nb as mt", "mt.explore(mt.demo_data('test'))")
    page = notebook.page
    page.set_viewport_size({"width": 1366, "height": 768})
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    on_map = output.locator(".subplot.x2y2 .points path")
    on_map.first.wait_for(timeout=60_000)
    assert on_map.count() == 60
    wait_until_drawn(notebook, canvas(output))
    output.evaluate("area => area.scrollIntoView({block: 'start'})")
    # points are seen before the page listens to the mouse
    page.wait_for_function(LISTENING, timeout=60_000)
    page.wait_for_timeout(1000)
    plot = output.locator(".plot-container").first.bounding_box()
    seen = canvas(output).bounding_box()
    assert plot["x"] + plot["width"] <= seen["x"]
    assert seen["x"] + seen["width"] <= 1366
    assert seen["y"] + seen["height"] <= 768
    notebook.picture(f"explore-{notebook.scheme}")
    # a range of energies is brushed: as many are marked on the map
    box = output.locator(".nsewdrag[data-subplot='x7y7']").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], middle, steps=5)
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4, steps=5)
    page.mouse.up()
    everything = output.get_by_role("button", name="All frames")
    everything.and_(output.locator(":enabled")).wait_for()
    kept = int(output.get_by_text(re.compile(r"^\d+ of 60 frames$")).inner_text().split()[0])
    assert 0 < kept < 60
    page.wait_for_timeout(500)
    opacities = on_map.evaluate_all("points => points.map(p => +getComputedStyle(p).opacity)")
    assert sum(opacity > 0.5 for opacity in opacities) == kept
    notebook.picture(f"explore-brushed-{notebook.scheme}")
    everything.click()
    output.get_by_text("60 of 60 frames").wait_for()
    # a point of the map shows its structure
    point = on_map.nth(17).bounding_box()
    place = point["x"] + point["width"] / 2, point["y"] + point["height"] / 2
    page.mouse.move(*place)
    tip = output.locator(".hoverlayer .hovertext").first
    tip.wait_for()
    frame = (tip.text_content() or "").strip()
    assert re.fullmatch(r"frame \d+", frame)
    page.mouse.click(*place)
    output.get_by_text(f"ethanol_test.xyz, {frame} ").wait_for()
    output.locator("button", has_text=" σ").first.press("Enter")
    output.get_by_text("60 of 60 frames").wait_for()
    page.set_viewport_size({"width": 1024, "height": 768})
    page.wait_for_timeout(800)
    notebook.picture(f"explore-1024-{notebook.scheme}")
    assert notebook.errors == []


def test_a_trajectory_is_played_coloured_and_shown_in_the_full_screen(notebook):
    notebook.open("import mattertune_nb as mt", "mt.view(mt.demo_data('test'))")
    notebook.run(0)
    notebook.run(1)
    page, output = notebook.page, notebook.output(1)
    wait_until_drawn(notebook, canvas(output))
    play = output.locator(".widget-play button").first
    play.click()
    output.get_by_text(re.compile(r"ethanol_test.xyz, frame [3-9]")).wait_for(timeout=30_000)
    play.click()
    output.get_by_label("colour", exact=True).select_option("force")
    scale = output.locator(".mt-color-bar")
    scale.wait_for()
    # frames that were played before the end was heard still come, each with its own scale
    page.wait_for_function(
        "() => { const last = window.scale; window.scale = document.querySelector('.mt-color-bar');"
        " return window.scale && window.scale === last; }",
        polling=1500,
    )
    assert "meV/Å" in scale.inner_text()
    assert pixels(scale).var() > 50
    notebook.picture("view-coloured")
    output.get_by_role("button", name="Full screen").click()
    page.wait_for_function("() => document.fullscreenElement?.classList.contains('mt-structure')")
    wait_until_drawn(notebook, canvas(output))
    notebook.picture("view-full-screen")
    page.evaluate("() => document.exitFullscreen()")
    page.wait_for_function("() => !document.fullscreenElement")
    assert notebook.errors == []


def test_the_second_viewer_shows_the_structure_too(notebook):
    pytest.importorskip("weas_widget", reason="the extra [weas] is not installed")
    notebook.open(
        "import os, mattertune_nb as mt\nos.environ['MATTERTUNE_NB_VIEWER'] = 'weas'",
        "mt.view(mt.demo_data('test'))",
    )
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    canvas(output).wait_for(timeout=60_000)
    wait_until_drawn(notebook, canvas(output))
    notebook.picture("view-weas")


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
    picture = output.get_by_role("button", name="Click to rotate")
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


def test_a_brush_is_heard_after_the_mouse_has_gone_on_while_the_kernel_was_busy(notebook):
    notebook.open(
        "import time, mattertune_nb as mt", "mt.explore(mt.demo_data('test'))", "time.sleep(8)"
    )
    page = notebook.page
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    on_map = output.locator(".subplot.x2y2 .points path")
    on_map.first.wait_for(timeout=60_000)
    page.wait_for_function(LISTENING, timeout=60_000)
    notebook.run(2, wait=False)
    output.evaluate("area => area.scrollIntoView({block: 'start'})")

    def hover(row: int) -> None:
        box = on_map.nth(row).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        output.locator(".hoverlayer .hovertext").first.wait_for()

    hover(3)
    box = output.locator(".nsewdrag[data-subplot='x7y7']").bounding_box()
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2, steps=5)
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4, steps=5)
    page.mouse.up()
    hover(30)
    page.mouse.move(5, 5)
    assert "[*]" in page.locator(".jp-CodeCell .jp-InputPrompt").nth(2).inner_text()
    everything = output.get_by_role("button", name="All frames")
    everything.and_(output.locator(":enabled")).wait_for()
    assert notebook.errors == []
