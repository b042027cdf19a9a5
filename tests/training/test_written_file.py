"""A file that was written is a link in the notebook that wrote it, and a path everywhere else."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from mattertune_nb.training.written_file import WrittenFile


@pytest.fixture
def notebook_folder(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    (folder / "runs" / "a & b #1").mkdir(parents=True)
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "first.ipynb"))
    monkeypatch.chdir(folder)
    return folder


def written(file: Path) -> WrittenFile:
    file.write_text("x", encoding="utf-8")
    return WrittenFile(file)


def href(page: str | None) -> str:
    found = re.search(r'href="([^"]*)"', page or "")
    assert found, page
    return found.group(1)


def test_the_link_leads_from_the_notebook_to_the_file(notebook_folder, monkeypatch):
    file = written(Path("runs/a & b #1/report.html"))
    page = file._repr_html_()
    assert page is not None
    assert (notebook_folder / unquote(href(page))).samefile(file)
    assert "#" not in href(page)
    assert "a &amp; b #1/report.html</a>" in page
    assert "download" not in page
    # a cell may have left the kernel in another folder
    absolute = WrittenFile(file.absolute())
    monkeypatch.chdir(notebook_folder / "runs")
    assert href(absolute._repr_html_()) == href(page)


def test_what_jupyterlab_cannot_open_is_downloaded(notebook_folder):
    page = written(notebook_folder / "model.safetensors")._repr_html_()
    assert page is not None
    assert 'download="model.safetensors"' in page


def test_there_is_no_link_to_what_a_notebook_cannot_reach(notebook_folder):
    assert written(notebook_folder.parent / "outside.html")._repr_html_() is None
    assert WrittenFile("runs")._repr_html_() is None
    assert WrittenFile("never.html")._repr_html_() is None


def test_there_is_no_link_where_voila_gives_no_files_to_its_page(notebook_folder, monkeypatch):
    file = written(Path("report.html"))
    assert file._repr_html_() is not None
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    assert file._repr_html_() is None


def test_without_a_notebook_server_it_is_relative_to_the_kernel(tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert href(written(tmp_path / "a.csv")._repr_html_()) == "a.csv"


def test_it_is_a_path_and_is_stored_as_one(tmp_path):
    file = written(tmp_path / "a.csv")
    assert isinstance(file, Path)
    assert file == tmp_path / "a.csv"
    assert file.read_text(encoding="utf-8") == "x"
    # a checkpoint with its own class would be refused where only plain objects are loaded
    for stored in (pickle.loads(pickle.dumps(file)), copy.deepcopy(file)):
        assert type(stored) is type(Path())
        assert stored == file
