"""The documentation builds without a warning, and tells of everything that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import mattertune_nb as mt
from mattertune_nb.backbones import registry
from mattertune_nb.cli import app
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.widgets.forms.about import About

ROOT = Path(__file__).parents[1]


def ids(page: str) -> set[str]:
    return set(re.findall(r'id="([^"]+)"', page))


def text(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page)


def test_the_site_builds_without_a_warning_and_tells_of_everything(tmp_path):
    pytest.importorskip("myst_nb")
    # one test, so that the site is built once, however many processes share the tests
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "notebooks", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    site = {page.stem: page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")}

    # every tutorial, with its pictures
    for notebook in (ROOT / "notebooks").glob("0*.ipynb"):
        assert "<img" in site[notebook.stem]

    # every public name, and of configs every setting in the words of the form
    assert {f"mattertune_nb.{name}" for name in mt.__all__} <= ids(site["api"])
    shown = text(site["settings"])
    for value in (getattr(mt, name) for name in mt.__all__):
        if isinstance(value, type) and issubclass(value, StrictConfig):
            assert value.__name__.lower() in ids(site["settings"])
            assert all(About.of(value, name).label in shown for name in value.model_fields)

    # every backbone, command and module
    for info in registry.available().values():
        assert info.config_class.__name__ in shown
        weights = info.config_class.model_fields["pretrained_model"].default
        assert weights in text(site["backbones"])
    assert set(typer.main.get_command(app).commands) <= ids(site["commands"])
    for module in Path(mt.__file__).parent.rglob("*.py"):
        assert module.name == "__init__.py" or module.name in text(site["how_it_works"])


def test_pages_that_the_readme_links_are_there():
    for file in (ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8"))
        for link in links:
            assert link.startswith("https:") or (file.parent / link).exists(), f"{file}: {link}"
