"""Names with HTML reach every widget as text: of files, labels, runs, structures and messages."""

from __future__ import annotations

from html.parser import HTMLParser

import ase.io
import ipywidgets
import numpy as np
import pytest

import mattertune_nb as mt

HTML = "<img src=x onerror=alert(1)><script>alert(1)<"
"""Without a slash, so that a file and a folder can be called so."""


class _Elements(HTMLParser):
    """Gathers what a browser would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag == "script" or dict(attrs).get("src") == "x" or "onerror" in dict(attrs):
            self.found.append(f"<{tag} {attrs}>")


def _run_by_a_browser(page: str) -> list[str]:
    elements = _Elements()
    elements.feed(page)
    return elements.found


def _pages(widget, seen=None) -> list[str]:
    """Return all that a widget and those inside it give to the page as HTML."""
    seen = set() if seen is None else seen
    if id(widget) in seen:
        return []
    seen.add(id(widget))
    pages = []
    if isinstance(widget, ipywidgets.HTML):
        pages.append(widget.value)
    if getattr(widget, "description_allow_html", False):
        pages.append(widget.description)
    for child in getattr(widget, "children", ()):
        pages += _pages(child, seen)
    return pages


@pytest.fixture
def odd_file(copper_xyz, tmp_path):
    """Return frames whose file, labels and groups have odd names."""
    frames = ase.io.read(copper_xyz, ":")
    for i, atoms in enumerate(frames):
        atoms.info["config_type"] = f"{HTML}{i % 2}"
        atoms.info[f"{HTML}_energy".replace("=", "")] = atoms.get_potential_energy()
        atoms.info["gap"] = HTML
        atoms.arrays["tags"] = np.arange(len(atoms))
    path = tmp_path / f"{HTML}.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.fixture
def odd_run(odd_file, morse_config, tmp_path):
    """Return a run on them whose folder was renamed by hand, and whose records have odd names."""
    config = morse_config(max_epochs=1)
    config.data.dataset = mt.XYZDatasetConfig(
        src=odd_file, energy_key="energy", forces_key="forces"
    )
    run = mt.MatterTuner(config).tune().run
    path = run.path.rename(run.path.parent / HTML)
    run = mt.Run.attach(path)
    run.directory.append_metrics("metrics", 1, 99, {f"val/{HTML}": 1.0, HTML: 2.0})
    run.directory.write_status("failed", error=HTML, note=HTML)
    with run.directory.log_file.open("a") as log:
        log.write(HTML)
    return run


def test_the_gatherer_finds_what_is_not_escaped():
    inside = ipywidgets.VBox([ipywidgets.HBox([ipywidgets.HTML(f"<b>{HTML}</b>")])])
    assert any(_run_by_a_browser(page) for page in _pages(inside))


def test_every_view_shows_them_as_text(odd_run, odd_file):
    frames = ase.io.read(odd_file, ":2")
    views = [
        odd_run.dashboard(),
        mt.parity(odd_run),
        mt.parity(odd_run, odd_file),
        mt.before_after(odd_run),
        mt.explore(odd_file),
        mt.explore(odd_file, ["gap"]),
        mt.view({HTML: frames[0], f"{HTML}2": frames[1]}),
        mt.view(frames),
        mt.TunerForm(odd_run.config()),
    ]
    for view in views:
        pages = _pages(view)
        assert pages, f"{type(view).__name__} has no words"
        run_by_a_browser = [found for page in pages for found in _run_by_a_browser(page)]
        assert not run_by_a_browser, type(view).__name__
    # in a notebook its front end writes text and no HTML
    assert not _run_by_a_browser(mt.runs(odd_run.path.parent)._repr_html_())
