"""Structures, data sets and predictions, as people look at them."""

from __future__ import annotations

import base64

import ipywidgets
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

import mattertune_nb as mt
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.widgets.page.lifetime import parts
from mattertune_nb.widgets.views.viewers.awake import MAX_LIVE, awake


@pytest.fixture(scope="module")
def model():
    """Return an untuned CHGNet."""
    return mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())


@pytest.fixture(scope="module")
def dataset():
    """Return a few frames of the shipped test set."""
    return mt.XYZDatasetConfig(src=mt.demo_data("test"), index=":6").create_dataset()


def is_png(data) -> bool:
    return bytes(data).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "x",
    [
        molecule("H2O"),
        bulk("Cu"),
        fcc111("Al", (2, 2, 3)),
        [bulk("Cu"), molecule("H2O")],
        mt.demo_data("test"),
    ],
    ids=["molecule", "crystal", "slab", "list", "file"],
)
def test_anything_that_holds_structures_is_shown(x):
    shown = mt.view(x)
    bundle = shown._repr_mimebundle_()
    assert is_png(base64.b64decode(bundle["image/png"]))
    assert len(bundle["image/png"]) < 150_000
    shown.close()


def test_frames_are_read_when_they_are_shown(dataset, monkeypatch):
    read = []
    real = type(dataset).frame
    monkeypatch.setattr(type(dataset), "frame", lambda self, i: read.append(i) or real(self, i))
    shown = mt.view(dataset)
    assert set(read) == {0}
    shown.slider.value = 3
    assert set(read) == {0, 3}
    assert "frame 3" in shown._caption.value


def test_ten_thousand_frames_show_as_fast_as_one():
    class Counted(list):
        read = 0

        def __getitem__(self, i):
            Counted.read += 1
            return super().__getitem__(i)

    frames = AtomsDataset(Counted([bulk("Cu")] * 10_000), "many")
    shown = mt.view(frames)
    shown.slider.value = 9_999
    assert "frame 9999" in shown._caption.value
    assert Counted.read < 20
    shown.close()


def test_the_oldest_of_many_live_viewers_fall_asleep_to_pictures_and_wake_on_a_click():
    views = [mt.view(bulk("Cu")) for _ in range(20)]
    assert list(awake) == views[-MAX_LIVE:]
    first = views[0]
    assert first.viewer is None
    assert first._place.children == (first.image,)
    assert is_png(first.image.value)
    first.image._handle_custom_msg({"event": "click"}, [])
    assert first.viewer is not None
    assert len(awake) == MAX_LIVE
    assert views[-MAX_LIVE].viewer is None
    for shown in views:
        shown.close()
    assert not awake


def test_without_a_front_end_a_view_is_its_picture(monkeypatch, recwarn):
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    shown = mt.view(bulk("Cu"))
    assert shown.viewer is None
    assert set(shown._repr_mimebundle_()) == {"text/plain", "image/png"}
    message = mt.view([])._repr_mimebundle_()
    assert "no structure" in message["text/plain"]
    assert "<div" in message["text/html"]
    assert not recwarn.list


def test_one_atom_can_be_marked(dataset):
    shown = mt.view(dataset)
    plain = shown.picture()
    shown.show(0, atom=4)
    assert shown.frame_shown.marked == 4
    assert f"marked: {dataset[0].symbols[4]} 4" in shown._caption.value
    assert shown.picture() != plain
    shown.arrows.value = "label"
    assert shown.frame_shown.marked == 4
    shown.slider.value = 1
    assert shown.frame_shown.marked is None


def test_arrows_are_chosen_in_the_view(dataset, model):
    shown = mt.view(dataset, model=model)
    assert [text for text, _ in shown.arrows.options] == [
        "no arrows", "label", "prediction", "difference"
    ]  # fmt: skip
    assert shown.frame_shown.arrows is None
    pictures = set()
    for kind in ("label", "prediction", "difference"):
        shown.arrows.value = kind
        pictures.add(bytes(shown.picture()))
    assert len(pictures) == 3
    label = dataset.labels(0)["forces"]
    shown.arrows.value = "prediction"
    prediction = shown.frame_shown.arrows
    shown.arrows.value = "difference"
    assert shown.frame_shown.arrows == pytest.approx(prediction - label)
    assert "force error, the longest" in shown._caption.value


def test_atoms_are_coloured_by_any_value_of_their_own(dataset):
    atoms = molecule("CH3CH2OH")
    atoms.set_array("charge", np.linspace(-1, 1, len(atoms)))
    shown = mt.view([atoms, atoms], color="charge", color_label="charge (e)")
    assert "charge (e)" in shown._color_bar.value
    assert shown.frame_shown.fractions()[[0, -1]].tolist() == [0.0, 1.0]
    by_hand = mt.view(atoms, color=atoms.arrays["charge"])
    assert by_hand.frame_shown.values.tolist() == shown.frame_shown.values.tolist()
    forces = mt.view(dataset, color="force")
    norms = 1000 * np.linalg.norm(dataset.labels(0)["forces"], axis=1)
    assert forces.frame_shown.values == pytest.approx(norms)
    assert "<div>force (meV/Å)</div>" in forces._color_bar.value
    assert "no per-atom values &#x27;mass&#x27;" in mt.view(atoms, color="mass").value
    assert "needs a model" in mt.view(dataset, color="force_error").value
    assert "give one per atom" in mt.view(atoms, color=[1.0, 2.0])._caption.value


def test_force_arrows_and_colours_change_the_picture(dataset, model):
    plain = mt.view(dataset)
    label = mt.view(dataset, forces="label")
    error = mt.view(dataset, forces="difference", model=model, color="force_error")
    pictures = {bytes(v.picture()) for v in (plain, label, error)}
    assert len(pictures) == 3


def test_a_file_that_cannot_be_read_is_a_message(tmp_path, model):
    (tmp_path / "bad.xyz").write_text("not a structure\n")
    for function in (mt.view, mt.explore, lambda x: mt.parity(model, x)):
        assert "bad.xyz" in function(tmp_path / "bad.xyz").value


@pytest.mark.parametrize("x", [[], 5, ["a"], None], ids=str)
def test_what_holds_no_structure_is_a_message(x, model):
    for function in (mt.view, mt.explore, lambda x: mt.parity(model, x)):
        words = "no such file" if x == ["a"] else "structure"
        assert words in function(x).text


def test_a_frame_without_an_atom_is_a_message_that_names_it(tmp_path, model):
    frames = [bulk("Cu"), Atoms()]
    for function in (mt.view, mt.explore, lambda x: mt.parity(model, x)):
        assert "frame 1: has no atoms" in function(frames).text
    assert "frame 0: has no atoms" in mt.view(Atoms()).text
    (tmp_path / "empty.xyz").write_text("1\n\nH 0 0 0\n0\n\n")
    assert "frame 1: has no atoms" in mt.explore(tmp_path / "empty.xyz").text
    shown = mt.view(tmp_path / "empty.xyz")
    shown.show(1)
    assert "frame 1: has no atoms" in shown._caption.value


def test_a_frame_that_cannot_be_read_leaves_the_last_picture(tmp_path):
    lines = mt.demo_data("test").read_text().splitlines()
    lines[13] = "C here there everywhere"
    (tmp_path / "half.xyz").write_text("\n".join(lines[:44]) + "\n")
    shown = mt.view(tmp_path / "half.xyz")
    before = shown.picture()
    shown.slider.value = 1
    assert "frame 1" in shown._caption.value
    assert "alert" in shown._caption.value
    assert shown.picture() == before
    shown.slider.value = 2
    assert "alert" not in shown._caption.value


def test_a_frame_without_forces_is_shown_without_arrows():
    shown = mt.view(bulk("Cu"), forces="label")
    assert "no arrows: the frame has no forces" in shown._caption.value


def test_a_view_that_is_closed_leaves_no_widget(dataset, model):
    for make in (mt.view, mt.explore, lambda x: mt.parity(model, x)):
        make(dataset).close()
        before = set(ipywidgets.widgets.widget._instances)
        shown = make(dataset)
        assert len(parts(shown)) > 10
        shown.close()
        assert set(ipywidgets.widgets.widget._instances) == before
