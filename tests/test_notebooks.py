"""The notebooks run from top to bottom on the shipped data."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("0*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    copy = Path(shutil.copy(path, tmp_path))
    notebook = nbformat.read(copy, as_version=4)
    client = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    nbformat.write(notebook, copy)
    # what is saved stays visible, and the file stays small
    assert copy.stat().st_size < 1_000_000
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    noise = [o for o in outputs if o.get("name") == "stderr"]
    assert not noise, noise


def test_quickstart_is_committed_with_its_outputs():
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 4
    assert NOTEBOOKS[0].stat().st_size < 1_000_000
