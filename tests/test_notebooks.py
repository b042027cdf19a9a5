"""The notebooks run from top to bottom on the shipped data, and are committed as they then are."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mattertune_nb.demo.make_notebooks import LARGEST, tidy

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("0*.ipynb"))


def outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path))
    notebook = nbformat.read(copy, as_version=4)
    # as JupyterLab saves it: with outputs, and without the state of widgets
    client = NotebookClient(
        notebook,
        timeout=1200,
        store_widget_state=False,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    nbformat.write(notebook, copy)
    # what is saved stays visible, and the file stays small
    assert copy.stat().st_size < LARGEST
    assert pictures(notebook) >= 1
    # that a rate that is too low or too high ends worse is what one of them shows
    noise = [
        output
        for output in outputs(notebook)
        if output.get("name") == "stderr" and "EndedWorse" not in output["text"]
    ]
    assert not noise, noise
    if path == NOTEBOOKS[0]:
        assert len(list((tmp_path / "runs").iterdir())) == 1, "the quickstart trains once"


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_committed_as_a_web_page_shows_it(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # of one execution from top to bottom
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert pictures(notebook) >= 1
    # there is no state of widgets in the file by which one could be shown
    assert not any("widget-view" in str(o.get("data", {}).keys()) for o in outputs(notebook))
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    for place in ("/home/", "/root/", "/tmp/", "/work/", "/Users/", "site-packages"):
        assert place not in text, "a path of somebody's machine"


def test_the_quickstart_shows_form_curves_gain_and_parity():
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    shown = [
        set().union(*(o.get("data", {}) for o in cell.outputs))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert sum("image/png" in kinds for kinds in shown) >= 4
    form = next(i for i, c in enumerate(notebook.cells) if c.source.endswith("\nform"))
    assert "text/html" in notebook.cells[form].outputs[0].data
    # nobody scrolls past more than a screen or two
    for output in outputs(notebook):
        assert output.get("data", {}).get("text/plain", "").count("\n") < 120


def test_what_belongs_to_one_machine_is_left_out():
    cell = nbformat.v4.new_code_cell("1", metadata={"execution": {"started": "now"}})
    cell.outputs = [
        nbformat.v4.new_output("stream", text="/a/b/mattertune_nb/x.xyz, /tmp/t/runs\n"),
        nbformat.v4.new_output("display_data", {"text/html": ["see /tmp/t/runs"]}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    tidy(notebook, {"/a/b/mattertune_nb": "mattertune_nb", "/tmp/t": "."})
    assert cell.metadata == {}
    assert "widgets" not in notebook.metadata
    assert cell.outputs[0].text == "mattertune_nb/x.xyz, ./runs\n"
    assert cell.outputs[1].data["text/html"] == ["see ./runs"]
