"""The layout that the README promises: who may import whom, and files of one subject."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mattertune_nb

ROOT = Path(mattertune_nb.__file__).parent
LAYERS = ["config", "data", "backbones", "model", "calculator", "training"]
TOP = ["testing", "demo", "cli", "widgets"]
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")
WIDGETS_ONLY = {"ipywidgets", "plotly", "nglview", "anywidget", "chemiscope"}
VENDORS = {"chgnet": "chgnet", "pymatgen": "chgnet", "sevenn": "sevennet", "e3nn": "sevennet"}


def imports(path: Path) -> set[str]:
    """Return everything a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def layer(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_its_left(path):
    own = layer(path)
    allowed = {own, *(LAYERS[: LAYERS.index(own)] if own in LAYERS else LAYERS + TOP)}
    for name in imports(path):
        assert name != "mattertune_nb", "modules never import the package root"
        if name.startswith("mattertune_nb."):
            assert name.split(".")[1] in allowed, f"{own} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_stay_where_they_belong(path):
    for name in imports(path):
        package = name.split(".")[0]
        if package in WIDGETS_ONLY:
            assert layer(path) == "widgets", f"{package} belongs in widgets"
        if package in VENDORS:
            stem = VENDORS[package]
            assert path.name in (f"{stem}.py", f"{stem}_adapter.py"), (
                f"{package} belongs in its adapter"
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_has_one_subject(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350
