"""The notebooks run from top to bottom on the shipped data."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("0*.ipynb"))


def outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path))
    notebook = nbformat.read(copy, as_version=4)
    # as JupyterLab saves it: with outputs, and without the state of widgets
    client = NotebookClient(
        notebook,
        timeout=400,
        store_widget_state=False,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    nbformat.write(notebook, copy)
    # what is saved stays visible, and the file stays small
    assert copy.stat().st_size < 1_000_000
    assert pictures(notebook) >= 1
    noise = [output for output in outputs(notebook) if output.get("name") == "stderr"]
    assert not noise, noise


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_uses_public_names_only(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("mattertune_nb")
            elif isinstance(node, ast.Import):
                own = [a for a in node.names if a.name.startswith("mattertune_nb")]
                assert all(a.name == "mattertune_nb" and a.asname == "mt" for a in own)


def test_the_first_view_in_a_notebook_displays_nothing_but_itself():
    cell = nbformat.v4.new_code_cell("from mattertune_nb.widgets.views.viewers import nglview")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=100).execute()
    assert not outputs(notebook)


def test_quickstart_is_committed_with_its_outputs():
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert pictures(notebook) >= 4
    # there is no state of widgets in the file by which one could be shown
    assert not any("widget-view" in str(o.get("data", {}).keys()) for o in outputs(notebook))
    text = NOTEBOOKS[0].read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert "src: /" not in text, "a path of somebody's machine"
