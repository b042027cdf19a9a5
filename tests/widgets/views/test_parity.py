"""The parity view: what is clicked is marked and named, and every number is that of evaluate."""

from __future__ import annotations

import time
from dataclasses import replace

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from plotly.callbacks import Points

import mattertune_nb as mt
from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.dataset import AtomsDataset
from mattertune_nb.training.figures import new_figure
from mattertune_nb.training.outcome.evaluation import evaluate
from mattertune_nb.widgets.page.lifetime import parts
from mattertune_nb.widgets.views.parity import ParityView
from mattertune_nb.widgets.views.parity_data import ParityData
from mattertune_nb.widgets.views.parity_figure import N_BINS, N_WORST, short_source
from mattertune_nb.widgets.views.spread import SpreadView, draw_spread


@pytest.fixture(scope="module")
def dataset():
    """Return a few frames of the shipped test set."""
    return mt.XYZDatasetConfig(src=mt.demo_data("test"), index=":6").create_dataset()


@pytest.fixture
def view(chgnet, dataset):
    """Return a view whose predictions are all there."""
    shown = mt.parity(chgnet, dataset)
    shown.wait(120)
    yield shown
    shown.close()


def click(view, row: int) -> None:
    """Click on the point of a row."""
    (point,) = np.flatnonzero(view.plot.shown == row)
    trace = next(t for t in view.figure.data if t.name == "points")
    trace._dispatch_on_click(Points(point_inds=[int(point)]), None)


def trace(view, name: str):
    return next(t for t in view.figure.data if t.name == name)


def test_the_numbers_of_parity_are_those_of_evaluate(view, dataset, chgnet):
    errors = evaluate(chgnet, dataset)
    assert view.data["forces"].mae == pytest.approx(1000 * errors["forces_mae"], rel=1e-5)
    assert view.data["forces"].rmse == pytest.approx(1000 * errors["forces_rmse"], rel=1e-5)
    assert view.data["energy"].mae == pytest.approx(1000 * errors["energy_per_atom_mae"], rel=1e-5)
    assert "stresses" not in view.data
    mae = f"{1000 * errors['forces_mae']:.3g}"
    assert f"forces (meV/Å)</td><td>{mae}</td>" in view._errors.value


def test_a_point_that_is_clicked_is_ringed_and_its_atom_marked_and_named(view, dataset):
    forces = view.data["forces"]
    row = int(np.flatnonzero(forces.frame == 4)[3 * 5 + 1])
    click(view, row)
    label = 1000 * dataset.labels(4)["forces"][5, 1]
    assert forces.label[row] == pytest.approx(label)
    symbol = dataset[4].symbols[5]
    words = view._words.value.replace("−", "-").replace("\u202f", "")
    told = f"{label:.0f}" if abs(label) >= 1000 else f"{label:.3g}"
    assert f"{symbol} 5, Fy: label {told}, prediction " in words
    assert "meV/Å" in words.replace("\u2060", "")
    # the frame is named once
    texts = [part.value for part in parts(view) if isinstance(part, W.HTML)]
    assert " ".join(texts).count("ethanol_test.xyz, frame 4") == 1
    assert view.structure.slider.value == 4
    assert view.structure.frame_shown.marked == 5
    ring = trace(view, "chosen")
    x, y = forces.points()
    assert (list(ring.x), list(ring.y)) == ([x[row]], [y[row]])


def test_the_mark_goes_with_another_frame_or_property(view):
    click(view, 0)
    view.structure.slider.value = 3
    assert not len(trace(view, "chosen").x)
    assert "Click a point" in view._words.value
    click(view, 0)
    view.property.value = "energy"
    assert not len(trace(view, "chosen").x)
    click(view, 2)
    assert view.structure.slider.value == 2
    assert view.structure.frame_shown.marked is None
    assert "energy: label" in view._words.value
    assert "meV/atom" in view._words.value.replace("\u2060", "")


def test_hover_tells_the_name_of_the_file_and_not_its_path(view):
    (text,) = (trace(view, "points").text[0],)
    assert text.startswith("ethanol_test.xyz, frame 0<br>")
    assert "/" not in text.split("<br>")[0]
    assert text.endswith("meV/Å")


def test_a_long_name_is_cut_in_the_middle():
    class Named(AtomsDataset):
        def source(self, i):
            return f"/a/b/{'x' * 40}_tail.xyz, frame {i}"

    short = short_source(Named([], "named"), 7)
    assert short.startswith("xxx")
    assert short.endswith("_tail.xyz, frame 7")
    assert "…" in short
    assert len(short) < 50


def test_the_histogram_counts_every_error_once_and_in_its_place(view):
    error = view.data["forces"].error
    bars = trace(view, "errors")
    assert len(bars.y) == N_BINS
    assert sum(bars.y) == len(error)
    edges = np.concatenate([bars.x - bars.width / 2, [bars.x[-1] + bars.width[-1] / 2]])
    middle = N_BINS // 3
    counted = ((error >= edges[middle]) & (error < edges[middle + 1])).sum()
    assert bars.y[middle] == counted
    assert (edges[0], edges[-1]) == pytest.approx((error.min(), error.max()))
    assert view.figure.layout.xaxis2.title.text == "error (meV/Å)"


def test_errors_of_one_element_are_chosen_and_told(view, dataset):
    label = np.concatenate([dataset.labels(i)["forces"] for i in range(6)])
    symbols = np.concatenate([dataset[i].get_chemical_symbols() for i in range(6)])
    everything = view.data["forces"]
    prediction = everything.prediction.reshape(-1, 3)
    mae = np.abs(prediction - 1000 * label)[symbols == "O"].mean()
    names = [name for name, _ in view.element.options]
    assert names[0] == "all elements"
    assert f"O: MAE {mae:.3g} meV/Å" in names
    view.element.value = 8
    assert len(trace(view, "points").x) == 6 * 3
    assert sum(trace(view, "errors").y) == 6 * 3
    assert f"forces of O (meV/Å)</td><td>{mae:.3g}</td>" in view._errors.value
    click(view, 4)
    assert view.structure.frame_shown.marked == dataset[1].symbols.search("O")[0]
    view.property.value = "energy"
    assert view.element.layout.display == "none"


def test_colours_have_a_scale_with_title_unit_and_ends(view, dataset):
    points = trace(view, "points")
    bar = view.figure.layout.coloraxis
    assert [value for _, value in view.color.options] == ["force", "element", "frame", "nothing"]
    norm = 1000 * np.linalg.norm(dataset.labels(0)["forces"][0])
    assert list(points.marker.color[:3]) == pytest.approx([norm] * 3)
    assert bar.colorbar.title.text == "force (meV/Å)"
    assert (bar.cmin, bar.cmax) == pytest.approx((0, np.quantile(view.data["forces"].norm, 0.99)))
    view.color.value = "frame"
    assert bar.colorbar.title.text == "frame"
    assert (bar.cmin, bar.cmax) == (0, 5)
    assert list(points.marker.color) == view.data["forces"].frame.tolist()
    view.color.value = "element"
    assert points.marker.coloraxis is None
    assert len(set(points.marker.color)) == 3
    for symbol in "HCO":
        assert symbol in view._legend.value
    view.property.value = "energy"
    assert [value for _, value in view.color.options] == ["force", "frame", "nothing"]
    assert bar.colorbar.title.text == "largest force of the frame (meV/Å)"
    (axis,) = {
        ax.get_ylabel() for ax in view.draw().axes if "force of the frame" in ax.get_ylabel()
    }
    assert axis == "largest force of the frame (meV/Å)"


def test_points_are_coloured_by_their_distance_to_the_training_set(chgnet, dataset):
    training = dataset.take([0, 1, 2])
    view = ParityView(chgnet, dataset, training=lambda: training)
    view.work.start()
    view.wait(120)
    view.color.value = "distance to training"
    view._measuring.wait(60)
    far = np.array(trace(view, "points").marker.color).reshape(6, -1)
    assert far[:3] == pytest.approx(0, abs=1e-6)
    assert (far[3:] > 0.01).all()
    title = view.figure.layout.coloraxis.colorbar.title.text
    assert title == "distance to training (neighbours)"
    assert "within 5\u00a0Å against" in view._legend.value


def test_distances_are_offered_where_a_run_knows_its_data(view):
    assert "distance to training" not in dict(view.color.options)


def many(n: int, frames: int) -> ParityData:
    """Return pairs of very many forces."""
    rng = np.random.default_rng(0)
    label = rng.normal(size=n)
    frame, zero = np.arange(n) % frames, np.zeros(n, int)
    prediction = label + 0.1 * rng.normal(size=n)
    return ParityData(FORCES, label, prediction, frame, zero, zero, zero + 1, np.abs(label))


def test_a_million_points_are_a_density(dataset, chgnet):
    values = many(1_000_000, len(dataset))
    start = time.perf_counter()
    assert values.mae == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.01)
    view = ParityView(chgnet, dataset, {"forces": values})
    density, worst = trace(view, "density"), trace(view, "points")
    assert density.visible
    assert view.color.value == "density"
    assert len(worst.x) == N_WORST
    counts = 10 ** np.nan_to_num(np.array(density.z, float), nan=-np.inf)
    assert counts.sum() == pytest.approx(1_000_000, rel=1e-3)
    assert len(view.picture()) < 200_000
    assert time.perf_counter() - start < 60
    error = np.abs(values.error)
    assert np.abs(np.subtract(worst.y, worst.x)).min() == pytest.approx(np.sort(error)[-N_WORST])
    worst._dispatch_on_click(Points(point_inds=[7]), None)
    assert view.structure.slider.value == values.frame[view.plot.shown[7]]
    # a click between the worst points shows the worst of that cell
    density._dispatch_on_click(Points(point_inds=[[75, 75]], xs=[0.0], ys=[0.0]), None)
    x, y = values.points()
    wide, high = view.plot._steps
    cell = np.flatnonzero((np.abs(x) <= wide / 2) & (np.abs(y) <= high / 2))
    assert view._chosen == cell[np.argmax(error[cell])]
    view.color.value = "force"
    assert density.visible is False
    assert 4000 < len(worst.x) <= 5000
    assert "a sample of" in view._legend.value


def test_values_that_are_the_same_up_to_rounding_are_shown(dataset, chgnet):
    values = many(10_000, len(dataset))
    label = 1000 * (1 + 1e-16 * np.arange(10_000) / 1000)
    same = ParityData(
        FORCES, label, label + 2e-13, values.frame, values.component, values.atom,
        values.element, np.abs(label),
    )  # fmt: skip
    assert ParityView(chgnet, dataset, {"forces": same}).picture().startswith(b"\x89PNG")


def test_predictions_come_in_while_the_view_is_there_and_can_be_cancelled(chgnet):
    frames = mt.XYZDatasetConfig(src=mt.demo_data("test")).create_dataset()
    view = ParityView(chgnet, frames)
    view.work.start()
    end = time.monotonic() + 120
    while not view._data and time.monotonic() < end:
        time.sleep(0.01)
    assert view.work.state == "running"
    view.work.button.click()
    view.wait(60)
    if view.work.state == "cancelled":
        predicted = len(view.data["energy"])
        assert 0 < predicted < len(frames)
        assert (
            f"Cancelled: {predicted} of {len(frames)} frames are shown." in view.work._words.value
        )
        view.work.button.click()
        view.wait(120)
    assert view.data["energy"].frame.tolist() == list(range(len(frames)))
    at_once = mt.parity(chgnet, frames)
    assert np.array_equal(at_once.data["forces"].prediction, view.data["forces"].prediction)
    view.close()


def without_front_end(monkeypatch, function, *given):
    """Return what a script gets, where all is done at once."""
    monkeypatch.setenv("MATTERTUNE_NB_PLAIN", "1")
    return function(*given)


def test_frames_without_labels_are_a_message(chgnet, monkeypatch):
    for function in (mt.parity, mt.before_after):
        assert (
            "no frame has labels"
            in without_front_end(monkeypatch, function, chgnet, [bulk("Cu")]).text
        )


def test_an_element_that_the_model_does_not_know_is_a_message(chgnet, monkeypatch):
    odd = molecule("H2O")
    odd.numbers[0] = 100
    odd.calc = SinglePointCalculator(odd, energy=0.0)
    for function in (mt.parity, mt.before_after):
        assert "Fm" in without_front_end(monkeypatch, function, chgnet, [odd]).text


def test_parity_of_a_run_that_is_not_there_is_a_message(tmp_path, dataset):
    assert "nowhere" in mt.parity(tmp_path / "nowhere", dataset).text


def test_a_view_is_written_to_files(view, tmp_path):
    for kind in ("png", "svg", "csv"):
        assert view.save(tmp_path / f"parity.{kind}").stat().st_size > 1000
    svg = (tmp_path / "parity.svg").read_text(encoding="utf-8")
    for text in ("label (meV/Å)", "error (meV/Å)", "force (meV/Å)", "meV/atom"):
        assert text in svg


def test_what_is_said_of_an_ensemble_keeps_number_and_unit_together(view, monkeypatch):
    monkeypatch.setattr(
        "mattertune_nb.widgets.views.spread.calibration", lambda *_: "errors are 3 × the spread"
    )
    forces = view.data["forces"]
    said = SpreadView()
    said.show(replace(forces, spread=np.abs(forces.error) + 0.1))
    assert said.words.value == "Ensemble: errors are 3\u00a0× the spread"


def test_the_legend_of_errors_against_spread_lies_beside_the_points(view):
    forces = view.data["forces"]
    figure, (ax,) = new_figure(1, 1, 4.4, 2.6)
    draw_spread(ax, replace(forces, spread=np.abs(forces.error) + 0.1))
    figure.draw_without_rendering()
    legend, axes = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= axes.y1
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1
