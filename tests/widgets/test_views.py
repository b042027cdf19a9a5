"""Structures, data sets and predictions, as people look at them."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from plotly.callbacks import Points

import mattertune_nb as mt
from mattertune_nb.data.datasets import as_dataset
from mattertune_nb.training.evaluation import evaluate
from mattertune_nb.widgets import parity as parity_module
from mattertune_nb.widgets.explore import DatasetTable
from mattertune_nb.widgets.structure_view import MAX_LIVE, _live


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


def test_many_live_viewers_put_the_oldest_back_to_its_picture():
    views = [mt.view(bulk("Cu")) for _ in range(MAX_LIVE + 4)]
    for shown in views:
        shown.live_button.click()
    assert len(_live) == MAX_LIVE
    assert views[0].viewer is None
    assert views[0]._place.children == (views[0]._image,)
    assert views[-1].viewer is not None
    for shown in views:
        shown.close()
    assert not _live


def test_force_arrows_and_colours_change_the_picture(dataset, model):
    plain = mt.view(dataset)
    label = mt.view(dataset, forces="label")
    error = mt.view(dataset, forces="difference", model=model, color="force_error")
    pictures = {bytes(v._image.value) for v in (plain, label, error)}
    assert len(pictures) == 3


def test_a_file_that_cannot_be_read_is_a_message(tmp_path):
    (tmp_path / "bad.xyz").write_text("not a structure\n")
    for function in (mt.view, mt.explore):
        assert "bad.xyz" in function(tmp_path / "bad.xyz").value


def test_the_numbers_of_parity_are_those_of_evaluate(dataset, model):
    view = mt.parity(model, dataset)
    errors = evaluate(model, dataset)
    assert view.data["forces"].mae == pytest.approx(1000 * errors["forces_mae"], rel=1e-5)
    assert view.data["forces"].rmse == pytest.approx(1000 * errors["forces_rmse"], rel=1e-5)
    assert view.data["energy"].mae == pytest.approx(1000 * errors["energy_per_atom_mae"], rel=1e-5)
    assert "stresses" not in view.data
    assert is_png(view.picture())


def test_a_point_that_is_clicked_shows_its_structure(dataset, model):
    view = mt.parity(model, dataset)
    trace = next(t for t in view.figure.data if t.name == "forces")
    clicked = int(np.flatnonzero(view.data["forces"].frame == 4)[0])
    trace._dispatch_on_click(Points(point_inds=[clicked]), None)
    assert view.structure.slider.value == 4
    assert "frame 4" in view.structure._caption.value


def test_a_million_points_are_a_density(dataset, model):
    rng = np.random.default_rng(0)
    label = rng.normal(size=1_000_000)
    many = parity_module.ParityData(
        label, label + 0.1 * rng.normal(size=label.size), np.zeros(label.size, int), np.abs(label)
    )
    assert many.mae == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.01)
    view = parity_module.ParityView(model, dataset, {"forces": many})
    assert [t.type for t in view.figure.data] == ["scatter", "heatmap"]
    assert len(view.picture()) < 200_000


def test_frames_without_labels_are_a_message(model):
    assert "no frame has labels" in mt.parity(model, [bulk("Cu")]).value
    assert "no frame has labels" in mt.before_after(model, [bulk("Cu")]).value


def test_before_and_after(tmp_path, dataset):
    config = mt.demo_config(tmp_path, "run")
    config.data.train.index = config.data.validation.index = ":8"
    config.trainer.max_epochs = 4
    mt.MatterTuner(config).tune()
    comparison = mt.before_after(mt.Run.attach(tmp_path / "run"), dataset)
    assert comparison.after["forces"].mae < comparison.before["forces"].mae
    assert "untuned" in comparison._repr_mimebundle_()["text/html"]


def test_explore_counts_and_links(dataset):
    view = mt.explore(dataset)
    assert view.table.elements() == {"H": 36, "C": 12, "O": 6}
    assert view.table.force[0] == pytest.approx(
        1000 * np.linalg.norm(dataset.labels(0)["forces"], axis=1).max()
    )
    trace = view.figure.data[0]
    trace._dispatch_on_click(Points(point_inds=[5]), None)
    assert "frame 5" in view.structure._caption.value
    trace._dispatch_on_selection(Points(point_inds=[4, 2]), None)
    assert view.selected.tolist() == [2, 4]
    assert len(view.structure.frames) == 2
    assert "frame 2" in view.structure._caption.value
    assert is_png(view.picture())


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
