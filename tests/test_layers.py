"""The layout that the README promises: who may import whom, and files of one subject."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mattertune_nb

ROOT = Path(mattertune_nb.__file__).parent
LAYERS = [
    "config",
    "data",
    "backbones",
    "model",
    "calculator",
    "predictor",
    "torchsim",
    "lammps",
    "physics",
    "recipes",
    "doctor",
    "training",
]
TOP = [
    "testing",
    "demo",
    "app",
    "cli",
    "cli_console",
    "cli_runs",
    "cli_series",
    "__main__",
    "widgets",
]
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")
WIDGETS_ONLY = {"ipywidgets", "plotly", "nglview", "anywidget"}
VENDORS = {
    "chgnet": {"chgnet"},
    "pymatgen": {"chgnet", "elasticity"},
    "sevenn": {"sevennet"},
    "e3nn": {"guard", "sevennet", "mace"},
    "nequip": {"nequip"},
    "allegro": {"nequip"},
    "hydra": {"nequip", "fairchem"},
    "mace": {"mace"},
    "mattersim": {"mattersim"},
    "matgl": {"matgl"},
    "orb_models": {"orb"},
    "fairchem": {"fairchem"},
    "omegaconf": {"fairchem"},
    "metatrain": {"pet"},
    "metatensor": {"pet"},
    "metatomic_ase": {"pet"},
    "phonopy": {"vibrations"},
    "torch_sim": {"torchsim"},
    "lammps": {"lammps"},
}


def imports(path: Path, *, at_once: bool = False) -> set[str]:
    """Return everything a file imports, inside functions and for type checkers too, or `at_once`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def layer(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


CONVENIENCES = {
    "config/callbacks.py": {"model"},
    "model/module.py": {"mattertune_nb.model.ensemble"},
    "model/uses.py": {"calculator", "predictor", "lammps", "torchsim"},
    "training/in_cell.py": {"widgets"},
    "training/runs/run.py": {"widgets"},
    "training/runs/series.py": {"widgets"},
}
"""What a config, a model or a run offers from above, imported where it is asked for and not before: no other
circle of modules exists."""


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_its_left(path):
    own = layer(path)
    left = {own, *(LAYERS[: LAYERS.index(own)] if own in LAYERS else LAYERS + TOP)}
    allowed = left | CONVENIENCES.get(str(path.relative_to(ROOT)), set())
    at_once = {
        n.split(".")[1] for n in imports(path, at_once=True) if n.startswith("mattertune_nb.")
    }
    assert at_once <= left
    for name in imports(path):
        assert name != "mattertune_nb", "modules never import the package root"
        if name.startswith("mattertune_nb."):
            assert name.split(".")[1] in allowed, f"{own} must not import {name}"


def modules_imported(path: Path) -> set[Path]:
    """Return the files of ours that a file imports, for type checkers too, conveniences left out."""
    left_out = CONVENIENCES.get(str(path.relative_to(ROOT)), set())
    found = set()
    for name in imports(path):
        package, *rest = name.split(".")
        if package != "mattertune_nb" or not rest or rest[0] in left_out or name in left_out:
            continue
        place = ROOT.joinpath(*rest)
        found.add(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))
    return found


def test_no_modules_import_each_other_in_a_circle():
    sorter = TopologicalSorter({path: modules_imported(path) - {path} for path in MODULES})
    try:
        sorter.prepare()
    except CycleError as exc:
        circle = " imports ".join(str(path.relative_to(ROOT)) for path in reversed(exc.args[1]))
        pytest.fail(f"{circle}: one of them should name a smaller type")


ROOMS = {
    "page": set(),
    "forms": {"page"},
    "live": {"page"},
    "views": {"page"},
    "report": {"page", "live", "views"},
}
"""Rooms of the widgets, and which they know: what all share is in `page`, and no two know each other."""


@pytest.mark.parametrize(
    "path", [p for p in MODULES if layer(p) == "widgets"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_rooms_of_the_widgets_know_no_other_beside_them(path):
    room = path.relative_to(ROOT / "widgets").parts[0]
    used = {n.split(".")[2] for n in imports(path) if n.startswith("mattertune_nb.widgets.")}
    assert room == "__init__.py" or used <= ROOMS[room] | {room}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_stay_where_they_belong(path):
    for name in imports(path):
        package = name.split(".")[0]
        if package in WIDGETS_ONLY:
            assert layer(path) == "widgets", f"{package} belongs in widgets"
        if package in VENDORS:
            is_in_room = path.parent.parent == ROOT / "backbones"
            room = path.parent.name if is_in_room else path.stem
            assert room in VENDORS[package], f"{package} belongs in its vendor's room"


DISTRIBUTIONS = {
    "fairchem": "fairchem-core",
    "hydra": "hydra-core",
    "mace": "mace-torch",
    "metatensor": "metatensor-torch",
    "torch_sim": "torch-sim-atomistic",
    "yaml": "pyyaml",
}
"""Where a package on the index has another name than the module."""


def declared(requirements: list[str]) -> set[str]:
    """Return the names in a list of requirements."""
    names = (re.match(r"[\w.-]+", requirement)[0] for requirement in requirements)
    return {name.lower().replace("_", "-") for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_imported_is_declared(path):
    """A vendor's room needs it in the extra of its name, anything else in some list that users install."""
    file = ROOT.parent / "pyproject.toml"
    if not file.is_file():
        pytest.skip("not a clone")
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    is_in_room = path.parent.parent == ROOT / "backbones"
    used = {path.parent.name} if is_in_room else extras.keys() - {"test", "test-mace", "docs"}
    known = declared(project["dependencies"]).union(*(declared(extras.get(n, [])) for n in used))
    packages = {name.split(".")[0] for name in imports(path)}
    packages -= {"mattertune_nb", *sys.stdlib_module_names}
    names = {DISTRIBUTIONS.get(p, p).lower().replace("_", "-") for p in packages}
    assert names <= known, f"not in pyproject.toml: {', '.join(sorted(names - known))}"


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent.parent == ROOT / "backbones"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_rooms_of_vendors_know_no_other(path):
    vendors = {p.name for p in (ROOT / "backbones").iterdir() if p.is_dir()}
    used = {n.split(".")[2] for n in imports(path) if n.startswith("mattertune_nb.backbones.")}
    assert used & vendors <= {path.parent.name}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_has_one_subject(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


ALLOWED_AT_THE_TOP = {
    "pyproject.toml",
    "mattertune_nb",
    "notebooks",
    "tests",
    "binder",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CITATION.cff",
}


def test_the_top_level_holds_nothing_else():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT.parent, capture_output=True, text=True
    ).stdout.split("\n")
    if listed == [""]:
        pytest.skip("not a clone")
    top = {line.strip('"').split("/")[0] for line in listed if line}
    assert {name for name in top if not name.startswith(".")} <= ALLOWED_AT_THE_TOP


def test_only_classes_that_a_user_names_are_looked_up_by_name():
    found = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if re.search(r"resolve_name\(|import_module\(|__import__", path.read_text(encoding="utf-8"))
    ]
    assert found == ["config/loggers.py", "training/module_class.py"]


SAYS_WHAT_THE_TABLE_SAYS = {
    "config/properties.py": "the table itself",
    "config/task.py": "types of the settings' names",
    "config/own_properties.py": "tags of a union, and names that are taken",
    "config/units.py": "units of files",
    "data/labels/": "names and units of files",
    "data/readers/": "names of files",
    "data/sources/materials_project.py": "names of an archive",
    "doctor/": "words and units of files",
}
"""Where a name, a metric or a unit of a property may stand beside the table of properties, and why."""
FROM_THE_TABLE = re.compile(
    r"^(stresses|energy_per_atom)$"
    r"|^([a-z]+/)?(energy|energy_per_atom|forces|stresses)_(mae|rmse)$"
    r"|\bmeV/"
)


def words(path: Path) -> set[str]:
    """Return the strings of a file, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    constants = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in told)
    return {n.value for n in constants if isinstance(n.value, str)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_property_is_called_and_measured_in_is_read_from_the_table(path):
    """Not `energy` and `forces`, which are ASE's keys as well."""
    if not str(path.relative_to(ROOT)).startswith(tuple(SAYS_WHAT_THE_TABLE_SAYS)):
        assert [word for word in words(path) if FROM_THE_TABLE.search(word)] == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import mattertune_nb.model", "mattertune_nb.model"),
        (
            "def f():\n    from mattertune_nb.training.tuner import x",
            "mattertune_nb.training.tuner",
        ),
        ("if x:\n    import mattertune_nb as mt", "mattertune_nb"),
    ],
)
def test_an_import_is_found_wherever_it_stands(code, name, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(code)
    assert name in imports(path)
