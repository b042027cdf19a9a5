"""Structures, data sets and predictions, as people look at them."""

from __future__ import annotations

import base64

import ipywidgets
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from plotly.callbacks import BoxSelector, Points

import mattertune_nb as mt
from mattertune_nb.data.datasets import AtomsDataset, as_dataset
from mattertune_nb.widgets.page.lifetime import parts
from mattertune_nb.widgets.views.dataset_table import DatasetTable
from mattertune_nb.widgets.views.explore_figure import MAX_POINTS
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
    assert "no per-atom values &#x27;mass&#x27;" in mt.view(atoms, color="mass").value
    assert "needs a model" in mt.view(dataset, color="force_error").value
    assert "give one an atom" in mt.view(atoms, color=[1.0, 2.0])._caption.value


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
        assert "structure" in function(x).text


def test_a_frame_without_an_atom_is_a_message_that_names_it(tmp_path, model):
    frames = [bulk("Cu"), Atoms()]
    for function in (mt.view, mt.explore, lambda x: mt.parity(model, x)):
        assert "frame 1: there is no atom" in function(frames).text
    assert "frame 0: there is no atom" in mt.view(Atoms()).text
    (tmp_path / "empty.xyz").write_text("1\n\nH 0 0 0\n0\n\n")
    assert "frame 1: there is no atom" in mt.explore(tmp_path / "empty.xyz").text
    shown = mt.view(tmp_path / "empty.xyz")
    shown.show(1)
    assert "frame 1: there is no atom" in shown._caption.value


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


def test_explore_counts_and_links(dataset):
    view = mt.explore(dataset)
    assert view.table.elements() == {"H": 36, "C": 12, "O": 6}
    assert view.table.force[0] == pytest.approx(
        1000 * np.linalg.norm(dataset.labels(0)["forces"], axis=1).max()
    )
    viewer = view.structure.viewer
    trace = next(t for t in view.figure.data if t.name == "energy (meV/atom)")
    trace._dispatch_on_click(Points(point_inds=[5]), None)
    assert "frame 5" in view.structure._caption.value
    trace._dispatch_on_selection(Points(point_inds=[4, 2]), None)
    assert view.selected.tolist() == [2, 4]
    assert len(view.structure.frames) == 2
    assert "frame 2" in view.structure._caption.value
    assert list(trace.selectedpoints) == [2, 4]
    assert "2 of 6 frames" in view._kept.value
    view.all_button.click()
    assert len(view.structure.frames) == 6
    assert trace.selectedpoints is None
    assert view.structure.viewer is viewer
    assert is_png(view.picture())


def test_the_range_of_a_histogram_leaves_its_frames(dataset):
    view = mt.explore(dataset)
    bars = next(t for t in view.figure.data if t.name == "histogram of energy (meV/atom)")
    energies = view.table.energy
    high = [i for i, x in enumerate(bars.x) if x > 0]
    bars._dispatch_on_selection(Points(point_inds=high), None)
    edge = bars.x[high[0]] - bars.width[high[0]] / 2
    assert view.selected.tolist() == np.flatnonzero(energies >= edge).tolist()
    assert sum(bars.y) == 6
    forces = next(t for t in view.figure.data if t.name == "histogram of force (meV/Å)")
    assert sum(forces.y) == 6 * 9
    composition = view.figure.data[0]
    composition._dispatch_on_click(Points(point_inds=[0]), None)
    assert len(view.selected) == 6


def test_values_that_are_the_same_up_to_rounding_are_shown(dataset, model):
    frames = []
    for shift in (0, 1, 3):
        atoms = molecule("N2")
        forces = np.array([[0, 0, 1.3], [0, 0, -1.3]]) * (1 + shift * 2.3e-16)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=forces)
        frames.append(atoms)
    view = mt.explore(frames)
    bars = next(t for t in view.figure.data if t.name == "histogram of force (meV/Å)")
    assert sum(bars.y) == 6
    assert is_png(view.picture())


@pytest.mark.parametrize("brush", [None, BoxSelector(xrange=[-50, 50])])
def test_a_range_that_is_brushed_keeps_also_frames_that_are_not_drawn(brush):
    frames, rng = [], np.random.default_rng(0)
    for energy in rng.normal(size=2 * MAX_POINTS):
        atoms = bulk("Cu")
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        frames.append(atoms)
    view = mt.explore(frames)
    view.wait()
    trace = next(t for t in view.figure.data if t.name == "energy (meV/atom)")
    drawn = np.flatnonzero(np.abs(trace.x) <= 50).tolist()
    trace._dispatch_on_selection(Points(point_inds=drawn), brush)
    ends = (trace.x[drawn].min(), trace.x[drawn].max()) if brush is None else brush.xrange
    within = (view.table.energy >= ends[0]) & (view.table.energy <= ends[1])
    assert view.selected.tolist() == np.flatnonzero(within).tolist()
    assert len(view.selected) > len(drawn)


def test_frames_without_labels_are_explored_for_what_they_have():
    view = mt.explore([bulk("Cu"), bulk("Au"), bulk("Au", cubic=True)])
    assert list(view.table.columns()) == ["atoms"]
    assert "energy none, forces none, stress none" in view.children[0].value
    assert is_png(view.picture())


def test_a_view_that_is_closed_leaves_no_widget(dataset, model):
    for make in (mt.view, mt.explore, lambda x: mt.parity(model, x)):
        make(dataset).close()
        before = set(ipywidgets.widgets.widget._instances)
        shown = make(dataset)
        assert len(parts(shown)) > 10
        shown.close()
        assert set(ipywidgets.widgets.widget._instances) == before


def test_an_outlier_heads_the_table():
    source = mt.XYZDatasetConfig(src=mt.demo_data("test"), index=":20").create_dataset()
    frames = []
    for i in range(20):
        frame, labels = source[i], source.labels(i)
        factor = 50 if i == 7 else 1
        frame.calc = SinglePointCalculator(
            frame, energy=labels["energy"], forces=factor * labels["forces"]
        )
        frames.append(frame)
    assert DatasetTable.read(as_dataset(frames)).outliers()[0][0] == 7
