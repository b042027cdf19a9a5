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
CONFIGS = [
    value
    for value in (getattr(mt, name) for name in mt.__all__)
    if isinstance(value, type) and issubclass(value, StrictConfig)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the documentation as the README says, and return the HTML of its pages by name."""
    pytest.importorskip("myst_nb")
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "notebooks", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return {page.stem: page.read_text(encoding="utf-8") for page in out.rglob("*.html")}


def ids(page: str) -> set[str]:
    return set(re.findall(r'id="([^"]+)"', page))


def text(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page)


def test_every_tutorial_is_shown_with_its_outputs(site):
    for notebook in (ROOT / "notebooks").glob("0*.ipynb"):
        assert "<img" in site[notebook.stem]


def test_every_public_name_is_explained(site):
    assert {f"mattertune_nb.{name}" for name in mt.__all__} <= ids(site["api"])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_public_config_has_its_settings_in_the_words_of_the_form(site, config):
    assert config.__name__.lower() in ids(site["settings"])
    shown = text(site["settings"])
    for name in config.model_fields:
        assert About.of(config, name).label in shown


def test_every_backbone_is_told_of(site):
    for info in registry.available().values():
        assert info.config_class.__name__ in text(site["settings"])
        weights = info.config_class.model_fields["pretrained_model"].default
        assert weights in text(site["backbones"])


def test_every_command_is_told_of(site):
    assert set(typer.main.get_command(app).commands) <= ids(site["commands"])


def test_every_module_is_on_the_map(site):
    shown = text(site["how_it_works"])
    for module in Path(mt.__file__).parent.rglob("*.py"):
        assert module.name == "__init__.py" or module.name in shown


def test_pages_that_the_readme_links_are_there():
    for file in (ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"):
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8"))
        for link in links:
            assert link.startswith("https:") or (file.parent / link).exists(), f"{file}: {link}"
