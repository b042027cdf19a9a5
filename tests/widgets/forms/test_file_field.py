"""A file is typed, chosen in the server's folders or uploaded, whatever its name is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import mattertune_nb as mt
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.file_field import (
    LARGEST_UPLOAD,
    FileEditor,
    entries,
    keep_upload,
)

ODD = """a "b" <i>'c'.xyz"""


@pytest.fixture
def editor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return FileEditor(About.of(mt.XYZDatasetConfig, "src"), lambda: None)


def upload(editor, name, content):
    """Set what the page sends."""
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    editor.upload.value = (file | {"last_modified": datetime.now(UTC)},)


def test_the_chooser_lists_folders_and_what_can_be_read(tmp_path, editor):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden.xyz").touch()
    for name in ("b.xyz", "A.EXTXYZ", "OUTCAR", "notes.txt", ODD):
        (tmp_path / name).write_text("x")
    editor.browse.click()
    names = [text.split("   ")[0] for text, _ in editor.chooser.list.options]
    assert names == ["sub/", ODD, "A.EXTXYZ", "b.xyz", "OUTCAR"]
    editor.chooser.all_files.value = True
    assert any("notes.txt" in text for text, _ in editor.chooser.list.options)


def test_folders_are_opened_and_a_file_is_taken_with_a_short_path(tmp_path, editor):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ODD).write_text("x")
    editor.browse.click()
    chooser = editor.chooser
    assert chooser.open_button.disabled
    chooser.list.value = tmp_path / "sub"
    assert chooser.open_button.description == "Open folder"
    chooser.open_button.click()
    chooser.list.value = tmp_path / "sub" / ODD
    chooser.open_button.click()
    assert editor.control.value == str(Path("sub") / ODD)
    assert not chooser.is_open
    # opened again, it shows where the file is
    editor.browse.click()
    assert chooser.folder == tmp_path / "sub"
    chooser.up_button.click()
    assert chooser.folder == tmp_path


def test_how_large_an_upload_may_be_is_said_before_one_is_lost(editor):
    for words in ("up to 10 MB", "Browse", "file browser"):
        assert words in editor.upload.tooltip
    upload(editor, "a.xyz", b"x")
    assert "Uploaded to" in editor._note.value


def test_an_upload_is_kept_beside_the_notebook_and_overwrites_nothing(tmp_path, editor):
    upload(editor, "a.xyz", b"first")
    assert editor.control.value == str(Path("uploads") / "a.xyz")
    upload(editor, "a.xyz", b"second")
    assert editor.control.value == str(Path("uploads") / "a-2.xyz")
    assert (tmp_path / "uploads" / "a.xyz").read_bytes() == b"first"
    # the same once more needs no third file
    upload(editor, "a.xyz", b"second")
    assert editor.control.value == str(Path("uploads") / "a-2.xyz")
    upload(editor, ODD, b"x")
    assert (tmp_path / "uploads" / ODD).is_file()
    assert "<i>" not in editor._note.value
    assert editor.upload.value == ()


@pytest.mark.parametrize("name", ["../../x.xyz", "C:\\data\\x.xyz", "/etc/x.xyz", ".x.xyz"])
def test_an_upload_stays_in_its_folder(tmp_path, name):
    assert keep_upload(name, b"x", tmp_path) == tmp_path / "x.xyz"


def test_an_upload_that_is_too_large_is_refused_with_what_to_do(editor):
    content = bytes(LARGEST_UPLOAD + 1)
    upload(editor, "<big>.xyz", content)
    assert "larger than 10\u00a0MB. Copy it to a folder of the server" in editor._note.value
    assert "&lt;big&gt;.xyz was not saved" in editor._note.value
    assert not Path("uploads").exists()


def test_a_folder_that_is_not_there_opens_where_the_notebook_is(tmp_path, editor):
    editor.control.value = "~nosuchuser/x.xyz"
    editor.browse.click()
    assert editor.chooser.folder == tmp_path


def test_names_are_compared_in_any_case(tmp_path):
    (tmp_path / "a.XYZ").touch()
    assert entries(tmp_path, ("*.xyz",)) == ([], [tmp_path / "a.XYZ"])
