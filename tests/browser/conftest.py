"""A real JupyterLab in a real browser; skipped, saying so, where there is none."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

import mattertune_nb as mt

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"
# JupyterLab's own, without any widget on the page
NOT_OURS = ("status of 404", "Failed to load resource")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser():
    """Return Chromium, driven by Playwright."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Start JupyterLab on an empty folder; return the folder and the address."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"),
        "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"),
    }
    news = folder / ".settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    # light or dark as the browser says, which the tests choose
    (news / "themes.jupyterlab-settings").write_text('{"adaptive-theme": true}')
    tracker = folder / ".settings" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir()
    # all cells stay in the page, so that tests can count them
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--ServerApp.password=", f"--notebook-dir={folder}"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{address}/api", timeout=1)
            break
        except OSError:
            assert time.monotonic() < end, "JupyterLab did not start"
            time.sleep(0.3)
    yield folder, address
    process.terminate()
    process.wait(20)


END_KERNELS = """async () => {
    const headers = {'X-XSRFToken': (document.cookie.match(/_xsrf=([^;]*)/) || [])[1] || ''};
    for (const session of await (await fetch('/api/sessions')).json())
        await fetch('/api/sessions/' + session.id, {method: 'DELETE', headers});
}"""
"""What a test leaves would take the processor from those after it."""


class Notebook:
    """A notebook that is open in the browser."""

    place = "lab/tree"
    """Where the server shows it; Notebook 7 stands at ``notebooks``."""

    def __init__(self, page, folder: Path, address: str, name: str) -> None:
        self.page, self.folder, self.address, self.name = page, folder, address, name
        self.scheme = "light"
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)

    def _on_console(self, message) -> None:
        if message.type == "error" and not any(text in message.text for text in NOT_OURS):
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def open(self, *cells: str, heading: str = "") -> Notebook:
        """Write the notebook with these cells, if any, and open it in a fresh workspace."""
        if cells:
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
            if heading:
                notebook.cells.insert(0, nbformat.v4.new_markdown_cell(f"# {heading}"))
            notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
            nbformat.write(notebook, self.folder / self.name)
        self.page.goto(f"{self.address}/{self.place}/{self.name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=180_000)
        self.page.wait_for_selector(
            '.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=180_000
        )
        # cells are drawn as plain text first and replaced by editors a moment later
        self.page.wait_for_timeout(1500)
        return self

    def run(self, cell: int, *, wait: bool = True) -> None:
        """Execute a cell, counted from 0, and wait until it is numbered anew."""
        # the number of an earlier execution would look like the end of this one
        prompt = self.page.locator(".jp-CodeCell .jp-InputPrompt").nth(cell)
        prompt.evaluate("prompt => { prompt.textContent = ''; }")
        editor = self.page.locator(".jp-CodeCell .jp-InputArea-editor .cm-content").nth(cell)
        for _ in range(3):
            editor.click()
            self.page.keyboard.press("Shift+Enter")
            if not wait or self._is_numbered(cell):
                return
        msg = f"cell {cell} was not executed"
        raise AssertionError(msg)

    def _is_numbered(self, cell: int) -> bool:
        """Wait until a cell is executed; JupyterLab drops one that comes while it still connects: ``[ ]``."""
        from playwright.sync_api import expect

        prompt = self.page.locator(".jp-CodeCell .jp-InputPrompt").nth(cell)
        while True:
            expect(prompt).to_have_text(re.compile(r"\[(\d+|\s)\]"), timeout=180_000)
            if not re.search(r"\[\s\]", prompt.inner_text()):
                return True
            self.page.wait_for_timeout(3000)
            if re.search(r"\[\s\]", prompt.inner_text()):
                return False

    def output(self, cell: int):
        """Return the output area of a cell."""
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".jp-Cell-outputArea")

    def picture(self, name: str) -> Path:
        """Keep a screenshot for people to look at."""
        path = self.artefact(name)
        self.page.screenshot(path=path)
        return path

    def artefact(self, name: str) -> Path:
        """Return where a picture for people to look at is kept."""
        ARTEFACTS.mkdir(exist_ok=True)
        return ARTEFACTS / f"{name}.png"


@pytest.fixture
def notebook(browser, lab, request):
    """Return a notebook of its own for each test, on a laptop's screen."""
    folder, address = lab
    scheme = getattr(request, "param", "light")
    page = browser.new_page(viewport={"width": 1366, "height": 900}, color_scheme=scheme)
    name = request.node.name.replace("[", "-").replace("]", "") + ".ipynb"
    opened = Notebook(page, folder, address, name)
    opened.scheme = scheme
    yield opened
    # there is no report of a test that was interrupted
    report = getattr(request.node, "rep_call", None)
    if report is not None and report.failed:
        page.screenshot(path=ARTEFACTS / f"failed-{request.node.name}.png")
    if page.url.startswith(address):
        page.evaluate(END_KERNELS)
    page.close()
    for status in folder.rglob("status.json"):
        run = mt.Run.attach(status.parent)
        if run.is_active():
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.status().pid, signal.SIGKILL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let the fixtures know whether the test has failed, for a last screenshot."""
    report = yield
    setattr(item, f"rep_{report.when}", report)
    return report
