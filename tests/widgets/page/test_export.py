"""Views written to files: what is read back is what was shown."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError, DataError
from mattertune_nb.training.figures import new_figure
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.export import csv_text, export
from mattertune_nb.widgets.page.picture import Pictured


class Drawn(Pictured):
    """A view of a few numbers."""

    def __init__(self, values=(0.1, 1 / 3, -2e-17)):
        self.values = np.array(values)

    def draw(self):
        if not len(self.values):
            return None
        figure, (ax,) = new_figure(1, 1, 3, 2)
        ax.plot(self.values)
        ax.set_ylabel("force (meV/Å)")
        return figure

    def numbers(self):
        return (
            {"force (meV/Å)": self.values, "of": ["a, b", "c", "d"]} if len(self.values) else None
        )


def test_numbers_are_read_back_exactly(tmp_path):
    path = Drawn().save(tmp_path / "numbers.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["force (meV/Å)"]) for row in rows] == [0.1, 1 / 3, -2e-17]
    assert [row["of"] for row in rows] == ["a, b", "c", "d"]


def test_a_picture_for_a_paper_has_300_dots_an_inch(tmp_path):
    image = Image.open(Drawn().save(tmp_path / "figure.PNG"))
    assert image.size == (900, 600)


def test_words_of_an_svg_stay_words_and_its_bytes_the_same(tmp_path):
    first = Drawn().save(tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert ">force (meV/Å)</text>" in first
    assert Drawn().save(tmp_path / "again.svg").read_text(encoding="utf-8") == first


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"'\.pdf'. Allowed: \.png, \.svg, \.csv"):
        Drawn().save(tmp_path / "figure.pdf")
    with pytest.raises(DataError, match="still empty"):
        Drawn([]).save(tmp_path / "figure.png")
    with pytest.raises(DataError, match="cannot be written"):
        Drawn().save(tmp_path / "nowhere" / "figure.png")


def test_columns_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        csv_text({"a": [1, 2], "b": [1]})


def test_the_menu_answers_with_the_file_or_says_why_not(monkeypatch):
    sent = []
    monkeypatch.setattr(Download, "send", lambda self, *message: sent.append(message))
    view = Drawn()
    menu = Download(view, "errors")
    for kind in ("png", "svg", "csv"):
        menu._handle_custom_msg({"kind": kind, "view": 7}, [])
        message, (data,) = sent.pop()
        assert message["name"] == f"errors.{kind}"
        assert message["view"] == 7
        assert data == export(view, kind)
    view.values = np.array([])
    menu._handle_custom_msg({"kind": "csv", "view": 7}, [])
    ((message,),) = sent
    assert "still empty" in message["error"]


def test_every_view_can_be_written(tmp_path):
    structure = mt.view(mt.demo_data("test"), forces="label")
    explored = mt.explore(mt.XYZDatasetConfig(src=mt.demo_data("test"), index=":4"))
    for view in (structure, explored):
        for kind in ("png", "svg", "csv"):
            assert view.save(tmp_path / f"view.{kind}").stat().st_size > 100
    with io.StringIO(csv_text(structure.numbers())) as file:
        rows = list(csv.DictReader(file))
    atoms = structure.frames[0]
    forces = structure.frames.labels(0)["forces"]
    read = [[float(row[f"arrow {axis} (eV/Å)"]) for axis in "xyz"] for row in rows]
    assert np.array_equal(read, forces)
    assert np.array_equal([[float(r[f"{a} (Å)"]) for a in "xyz"] for r in rows], atoms.positions)
    assert [row["element"] for row in rows] == atoms.get_chemical_symbols()
