"""Names with HTML or control sequences reach every widget as text: of files, labels, runs and messages."""

from __future__ import annotations

from html.parser import HTMLParser

import ase.io
import ipywidgets
import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.training.ensemble import new_ensemble
from mattertune_nb.training.estimate.found import Found
from mattertune_nb.training.learning_curve import new_learning_curve

HTML = "<img src=x onerror=alert(1)><script>alert(1)<"
"""Without a slash, so that a file and a folder can be called so."""
STEERING = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e"
"""What colours, names or wipes a terminal, and turns the direction of writing."""
ODD = HTML + STEERING


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


def _steering(text: str) -> set[str]:
    return set(text) & set("\x1b\x07\x9b\u202e")


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
        atoms.info["config_type"] = f"{ODD}{i % 2}"
        atoms.info[f"{HTML}_energy".replace("=", "")] = atoms.get_potential_energy()
        atoms.info["gap"] = ODD
        atoms.arrays["tags"] = np.arange(len(atoms))
    path = tmp_path / f"{ODD}.xyz"
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
    path = run.path.rename(run.path.parent / ODD)
    run = mt.Run.attach(path)
    run.directory.append_metrics("metrics", 1, 99, {f"val/{ODD}": 1.0, ODD: 2.0})
    run.directory.write_status("failed", error=ODD, note=ODD)
    with run.directory.log_file.open("a") as log:
        log.write(ODD)
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
        mt.view({ODD: frames[0], f"{ODD}2": frames[1]}),
        mt.view(frames),
        mt.TunerForm(odd_run.config()),
        mt.compare(odd_run, odd_run.path),
    ]
    for view in views:
        pages = _pages(view)
        assert pages, f"{type(view).__name__} has no words"
        _is_text(view, pages)


def _is_text(view, pages):
    run_by_a_browser = [found for page in pages for found in _run_by_a_browser(page)]
    assert not run_by_a_browser, type(view).__name__
    for text in (*pages, *_plain(view)):
        assert not _steering(text), f"{type(view).__name__}: {text!r}"


def _plain(view) -> list[str]:
    bundle = view._repr_mimebundle_() if hasattr(view, "_repr_mimebundle_") else {}
    return [bundle[kind] for kind in ("text/plain", "text/html") if bundle.get(kind)]


def test_so_do_the_tables_of_runs(odd_run):
    # in a notebook the front end writes text and no HTML
    table = mt.runs(odd_run.path.parent)
    assert "title" in repr(table)
    _is_text(table, [table._repr_html_()])
    nothing = mt.runs(odd_run.path.parent / f"{ODD}2")
    _is_text(nothing, [nothing._repr_html_()])


def test_so_does_what_is_told_of_runs_and_of_files(odd_run, odd_file):
    found = mt.select(odd_file, 2, by="diversity")
    rates = Found("optimizer.lr", [0.1, 0.2], [1.0, 2.0], "loss", 0.1, ODD)
    told = [odd_run.verdict(), odd_run.validate(["parity"]), mt.check(odd_file), found, rates]
    for one in told:
        _is_text(one, [one._repr_html_()])
    for one in (*told, odd_run, odd_run.status()):
        assert not _steering(str(one)), type(one).__name__
    assert not _steering(odd_run.report().read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", [new_ensemble, new_learning_curve])
def test_so_do_several_runs(kind, odd_file, morse_config):
    config = morse_config("several", max_epochs=1)
    config.data.dataset = mt.XYZDatasetConfig(
        src=odd_file, energy_key="energy", forces_key="forces"
    )
    several = kind(config).train()
    several = type(several)(several.path.rename(several.path.parent / ODD))
    assert not _steering(str(several))
    if hasattr(several, "_repr_html_"):
        _is_text(several, [several._repr_html_()])
    view = several.dashboard()
    _is_text(view, _pages(view))
