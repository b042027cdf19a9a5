"""The page without code, in a browser: a run is filled in, started and watched by who reads no Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import islice

import pytest

import mattertune_nb as mt
from tests.browser.test_views import pixels

pytest.importorskip("voila", reason="voila is not installed (pip install 'mattertune-nb[app]')")
pytestmark = [pytest.mark.browser, pytest.mark.long]

DRAWN = """() => [...document.querySelectorAll('.js-line')]
    .reduce((sum, line) => sum + (line.getAttribute('d') || '').length, 0)"""
SECONDS = 1000
COMMAND = [sys.executable, "-m", "mattertune_nb.cli", "app"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve the page on a folder with a file and a finished run; return its address."""
    folder = tmp_path_factory.mktemp("app")
    shutil.copy(mt.demo_data("validation"), folder / "mine.xyz")
    config = mt.demo_config(folder / "runs", "earlier")
    config.data.train.index = config.data.validation.index = ":4"
    config.trainer.max_epochs = 2
    config.trainer.log_every_n_steps = 1
    mt.MatterTuner(config).tune()
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--port=8921", "--no-browser"],
        cwd=folder,
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(folder / ".config")},
        stderr=subprocess.PIPE,
        text=True,
    )
    (printed,) = islice((line for line in process.stderr if line.startswith("http")), 1)
    yield printed.strip()
    process.terminate()
    process.wait(20)


@pytest.fixture(params=["light", "dark"])
def page(browser, address, request):
    """Return the page in a laptop's browser, without what only other machines have."""
    opened = browser.new_page(viewport={"width": 1366, "height": 768}, color_scheme=request.param)
    opened.mt_asked = []
    opened.on("request", lambda asked: opened.mt_asked.append(asked.url))
    opened.goto(address, timeout=180 * SECONDS)
    opened.locator("button.mod-primary", has_text="Start").first.wait_for(timeout=180 * SECONDS)
    yield opened
    opened.close()


def background(page) -> float:
    """Return how bright the page is behind its words, from 0 to 255."""
    return page.evaluate(
        "() => { const c = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g);"
        " return (+c[0] + +c[1] + +c[2]) / 3 }"
    )


def test_a_run_is_filled_in_started_and_watched(page, address, request, tmp_path):
    scheme = request.node.callspec.params["page"]
    assert (background(page) > 200) == (scheme == "light")
    # what the reader does not read is not there
    assert page.get_by_text("import mattertune_nb").count() == 0
    page.wait_for_timeout(3000)
    page.screenshot(path=artefact(f"app-{scheme}"))
    file = page.get_by_label("File", exact=True).first
    file.fill("mine.xyz")
    file.press("Enter")
    page.get_by_text("40 frames").first.wait_for(timeout=60 * SECONDS)
    page.get_by_role("tab", name="Training", exact=True).click()
    epochs = page.get_by_label("Epochs", exact=True).first
    epochs.fill("400")
    epochs.press("Enter")
    page.locator("button.mod-primary", has_text="Start").first.click()
    form = page.locator(".mt-run-form")
    form.get_by_role("button", name="Open the dashboard").click(timeout=120 * SECONDS)
    # the figure has traces and is seen
    page.wait_for_function(f"({DRAWN})() > 200", timeout=240 * SECONDS)
    drawn = page.evaluate(DRAWN)
    page.wait_for_function(f"({DRAWN})() > {drawn}", timeout=120 * SECONDS)
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    assert pixels(plot).var() > 50
    page.screenshot(path=artefact(f"app_running-{scheme}"))
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_text("stopped", exact=True).first.wait_for(timeout=120 * SECONDS)
    # an earlier run is listed
    page.get_by_text("earlier").first.wait_for()
    elsewhere = [
        url for url in page.mt_asked if not url.startswith(("http://127.0.0.1", "data:", "blob:"))
    ]
    assert elsewhere == []


def artefact(name: str):
    from tests.browser.conftest import ARTEFACTS

    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS / f"{name}.png"
