"""Notebook 7, as JupyterLab: form, dashboard and views outlive a reload, during a run and after it."""

from __future__ import annotations

import pytest

from tests.browser.test_live import SMALL
from tests.browser.test_reload import (
    AT_REST,
    VIEWS,
    coloured,
    n_traces,
    reload,
    settled,
    wait_until_drawn,
)

pytest.importorskip("notebook", reason="Notebook 7 is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.long]

NOT_OURS = "reading 'schema'"
"""Notebook 7's own, also without a widget on the page."""


def test_form_dashboard_and_views_outlive_a_reload_in_notebook_7(notebook):
    notebook.place = "notebooks"
    notebook.open(
        SMALL.format(name="seven", epochs=400) + "form = mt.TunerForm(config)\nform",
        "run = form.start()\nrun.dashboard()",
        "run.stop()\nrun.wait(60)",
        VIEWS["parity"],
        VIEWS["explore"],
        VIEWS["compare"],
        AT_REST,
        "mt.runs()",
    )
    for cell in (0, 1):
        notebook.run(cell)
    form, dashboard = notebook.output(0), notebook.output(1)
    dashboard.get_by_text("structures/s").wait_for(timeout=180_000)
    wait_until_drawn(notebook, 1, 6)
    traces, pixels = n_traces(notebook, 1), coloured(notebook, 1)
    reload(notebook)
    wait_until_drawn(notebook, 1, traces)
    assert coloured(notebook, 1) > pixels / 2
    form.get_by_role("button", name="Open the dashboard").wait_for()
    notebook.picture("notebook-7-running")
    dashboard.get_by_role("button", name="Stop").click()
    dashboard.get_by_text("stopped", exact=True).wait_for(timeout=60_000)

    for cell in range(2, 8):
        notebook.run(cell)
    before = {cell: settled(notebook, cell) for cell in (1, 3, 4, 5)}
    assert min(pixels for _, pixels in before.values()) > 200
    reload(notebook)
    for cell, (traces, pixels) in before.items():
        now = settled(notebook, cell, traces)
        assert now[0] == traces, cell
        assert now[1] == pytest.approx(pixels, rel=0.15), cell
    form.locator("button.mod-primary", has_text="Start").wait_for()
    notebook.output(7).locator("td[data-column=run]", has_text="seven").wait_for()
    notebook.picture("notebook-7-after")
    assert [error for error in notebook.errors if NOT_OURS not in error] == []
