"""Plots are as wide as their cell, whatever is shown beside the notebook."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.long]

CURVES = """import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory
directory, _ = RunDirectory.create(mt.demo_config("wide", "wide"))
mt.Run.attach(directory.path).dashboard()"""
ROOM = """output => {
    const plot = output.querySelector('.js-plotly-plot');
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
    before = output.locator(".main-svg").first.bounding_box()["width"]
    for change in (200, -200):
        page.keyboard.press("Control+b")
        page.wait_for_timeout(1500)
        assert abs(output.evaluate(ROOM)) < 2
        now = output.locator(".main-svg").first.bounding_box()["width"]
        assert (now - before) * change > 200 * 200
        before = now
    assert notebook.errors == []
