"""What is seen of the form of a run on a laptop, without scrolling."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("tab", ["Data", "Model", "Training", "Run", "Code"])
def test_start_is_in_sight_on_each_tab_of_a_laptop(notebook, tab):
    notebook.page.set_viewport_size({"width": 1366, "height": 768})
    notebook.open("import mattertune_nb as mt\nmt.TunerForm(mt.demo_config())")
    notebook.run(0)
    output = notebook.output(0)
    output.get_by_role("tab", name=tab, exact=True).click()
    start = output.locator("button.mod-primary", has_text="Start")
    box = start.bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] < 768
    # and it stays there where the page is scrolled to the end of a long tab
    disclosure = output.get_by_role("button", name="All settings")
    if disclosure.is_visible():
        disclosure.click()
    output.locator(".mt-run-form").evaluate("form => form.scrollIntoView(false)")
    assert start.bounding_box()["y"] >= 0
    assert notebook.errors == []
