"""Plots are as wide as their cell, whatever is shown beside the notebook."""

from __future__ import annotations

import pytest

from tests.browser.test_live import SMALL

pytestmark = [pytest.mark.browser, pytest.mark.long]

CURVES = """import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory
directory, _ = RunDirectory.create(mt.demo_config("wide", "wide"))
mt.Run.attach(directory.path).dashboard()"""
COMPARED = """import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory
for name, epochs in (("first", 3), ("second-with-a-longer-name", 2)):
    config = mt.demo_config("compared{width}", name)
    config.trainer.max_epochs = epochs
    directory, _ = RunDirectory.create(config)
    for epoch in range(epochs):
        values = dict.fromkeys(["baseline/forces_mae", "baseline/energy_per_atom_mae"], 0.2)
        values["val/total_loss"] = values["val/energy_per_atom_mae"] = 0.02 / epochs
        values["val/forces_mae"] = 0.1 / epochs
        directory.append_metrics("metrics", epoch, epoch, values)
mt.compare(*("compared{width}/" + name for name in ("first", "second-with-a-longer-name")))"""
OUTSIDE = """output => {
    const edge = output.getBoundingClientRect().right;
    return [...output.querySelectorAll('.js-plotly-plot text')]
        .filter(text => text.textContent.trim() && text.getBoundingClientRect().right > edge)
        .map(text => text.textContent);
}"""
ROOM = """(output, number = 0) => {
    const plot = output.querySelectorAll('.js-plotly-plot')[number ?? 0];
    return plot.parentElement.getBoundingClientRect().width - plot._fullLayout.width;
}"""


def test_curves_follow_a_side_bar_that_is_closed_and_opened(notebook):
    notebook.page.set_viewport_size({"width": 1366, "height": 768})
    notebook.open(CURVES)
    notebook.run(0)
    page, output = notebook.page, notebook.output(0)
    output.locator(".js-plotly-plot").wait_for()
    page.wait_for_timeout(4000)
    assert abs(output.evaluate(ROOM)) < 2
    box = output.locator(".main-svg").first.bounding_box()
    before, height = box["width"], box["height"]
    for change in (200, -200):
        page.keyboard.press("Control+b")
        page.wait_for_timeout(1500)
        assert abs(output.evaluate(ROOM)) < 2
        box = output.locator(".main-svg").first.bounding_box()
        assert (box["width"] - before) * change > 200 * 200
        assert box["height"] == height
        before = box["width"]
    assert notebook.errors == []


@pytest.mark.parametrize("width", [1024, 1366])
def test_compared_runs_fill_their_cell_and_keep_their_words_in_it(notebook, width):
    notebook.page.set_viewport_size({"width": width, "height": 768})
    notebook.open(COMPARED.replace("{width}", str(width)))
    notebook.run(0)
    output = notebook.output(0)
    output.locator(".js-plotly-plot").nth(1).wait_for()
    notebook.page.wait_for_timeout(4000)
    notebook.picture(f"compare-{width}")
    assert output.get_by_text("second-with-a-longer-name").count() > 0
    assert output.evaluate(OUTSIDE) == []
    for plot in (0, 1):
        assert abs(output.evaluate(ROOM, plot)) < 2
    height = output.locator(".js-plotly-plot").nth(1).bounding_box()["height"]
    assert abs(height - 360) < 2
    assert notebook.errors == []


def test_a_long_sentence_in_a_tab_is_not_cut_at_its_edge(notebook):
    tune = "mt.MatterTuner(config).tune()\nmt.Run.attach('runs/sentence').dashboard()"
    notebook.open(SMALL.format(name="sentence", epochs=1) + tune)
    notebook.run(0)
    output = notebook.output(0)
    output.get_by_role("tab", name="Elsewhere", exact=True).click()
    sentence = output.get_by_text("Difference between the tuned and the untuned model")
    sentence.wait_for()
    tab = output.locator(".mt-sections > .widget-tab-contents").bounding_box()
    box = sentence.bounding_box()
    assert box["x"] + box["width"] <= tab["x"] + tab["width"]
