"""A data set at a glance: its numbers compared with scipy's and with sums over the frames."""

from __future__ import annotations

import threading
from collections import Counter

import ase.io
import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from plotly.callbacks import BoxSelector, Points
from scipy.stats import median_abs_deviation

import mattertune_nb as mt
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.widgets.views import explore as explore_module
from mattertune_nb.widgets.views.dataset_table import DatasetTable, FrameRows
from mattertune_nb.widgets.views.explore_figure import MAP, MAX_POINTS, N_FORMULAS


@pytest.fixture(scope="module")
def mixed():
    """Return forty frames of two formulas with labels, forces of one much larger."""
    rng = np.random.default_rng(1)
    frames = []
    for i in range(40):
        atoms = molecule("H2O" if i % 4 else "CH4")
        atoms.rattle(0.05, seed=i)
        forces = rng.normal(size=(len(atoms), 3)) * (20 if i == 7 else 1)
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0 + rng.normal(), forces=forces)
        frames.append(atoms)
    return frames


@pytest.fixture(scope="module")
def dataset():
    """Return a few frames of the shipped test set."""
    return mt.XYZDatasetConfig(src=mt.demo_data("test"), index=":6").create_dataset()


def test_a_robust_deviation_is_that_of_scipy(mixed):
    table = DatasetTable.read(as_dataset(mixed))
    assert len(table.outliers()) == 8
    columns = table.columns()
    for frame, title, score in table.outliers():
        values = columns[title]
        sigma = median_abs_deviation(values, scale="normal")
        assert score == pytest.approx(abs(values[frame] - np.median(values)) / sigma, rel=1e-4)
    assert table.outliers()[0][:2] == (7, "force (meV/Å)")


def test_energies_are_after_references_fitted_to_the_set(mixed):
    table = DatasetTable.read(as_dataset(mixed))
    counts = np.array([[np.sum(a.numbers == z) for z in (1, 6, 8)] for a in mixed], float)
    energies = np.array([a.get_potential_energy() for a in mixed])
    # two formulas, whatever their references: the energies' scatter within each, per atom
    for formula in {str(a.symbols) for a in mixed}:
        chosen = [i for i, a in enumerate(mixed) if str(a.symbols) == formula]
        spread = 1000 * np.ptp(energies[chosen]) / counts[chosen[0]].sum()
        assert np.ptp(table.energy[chosen]) == pytest.approx(spread, rel=1e-6)


def test_formulas_are_counted(mixed):
    view = mt.explore(mixed)
    expected = Counter(a.get_chemical_formula() for a in mixed)
    bars = view.plots.trace("formulas")
    assert dict(zip(bars.y, bars.x, strict=True)) == dict(expected)
    assert "2 formulas" in view.children[0].value
    # every bar is named, however many there are
    axis = view.plots.figure.layout.yaxis
    assert (axis.tickmode, axis.dtick) == ("linear", 1)


def test_formulas_beyond_the_first_share_a_bar():
    frames = [bulk("Cu").repeat((i + 1, 1, 1)) for i in range(N_FORMULAS + 3)] + [bulk("Cu")]
    bars = mt.explore(frames).plots.trace("formulas")
    assert bars.y[-1] == "3 others"
    assert list(bars.x) == [2] + [1] * (N_FORMULAS - 1) + [3]


def test_what_is_brushed_is_marked_in_all_plots(mixed):
    view = mt.explore(mixed)
    bars = view.plots.trace("formulas")
    methane = list(bars.y).index("CH4")
    bars._dispatch_on_selection(Points(point_inds=[methane]), None)
    chosen = [i for i, a in enumerate(mixed) if len(a) == 5]
    assert view.selected.tolist() == chosen
    assert len(view.structure.frames) == len(chosen)
    selected = view.plots.trace("selected formulas")
    assert dict(zip(selected.y, selected.x, strict=True)) == {"CH4": 10, "H2O": 0}
    forces = view.plots.trace("selected histogram of force (meV/Å)")
    assert sum(forces.y) == 5 * len(chosen)
    on_map = view.plots.trace(MAP)
    assert list(on_map.selectedpoints) == chosen
    view.all_button.click()
    assert on_map.selectedpoints is None
    assert sum(forces.y) == sum(len(a) for a in mixed)


def test_a_point_of_the_map_shows_its_structure(mixed):
    view = mt.explore(mixed)
    view.plots.trace(MAP)._dispatch_on_click(Points(point_inds=[5]), None)
    assert "frame 5" in view.structure._caption.value
    assert "two principal components" in view._map_note.value
    assert "up to 6\u00a0Å between" in view._map_note.value


def test_counts_over_decades_have_a_logarithmic_axis():
    frames = [bulk("Cu")] * 200 + [bulk("Au")]
    view = mt.explore(frames)
    view.wait()
    figure = view.figure
    assert figure.layout.xaxis.type == "log"
    few = mt.explore([bulk("Cu"), bulk("Au")]).figure
    assert few.layout.xaxis.type != "log"


def test_a_selection_is_saved_without_the_loss_of_a_digit(mixed, tmp_path):
    view = mt.explore(mixed)
    view._keep(np.array([3, 7]))
    path = view.save_selection(tmp_path / "chosen.xyz")
    for atoms, k in zip(ase.io.read(path, ":"), (3, 7), strict=True):
        assert atoms.numbers.tolist() == mixed[k].numbers.tolist()
        assert atoms.positions.tolist() == mixed[k].positions.tolist()
        assert atoms.get_potential_energy() == mixed[k].get_potential_energy()
        assert atoms.get_forces().tolist() == mixed[k].get_forces().tolist()
    view.path.value = str(path)
    view.save_button.click()
    assert "the file already exists" in said(view)


def said(view) -> str:
    """Return what stands beside 'Save selection'."""
    return "".join(output["data"]["text/html"] for output in view._saved.outputs)


def test_a_saved_selection_is_a_link_until_another_is_made(mixed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    view = mt.explore(mixed)
    view._keep(np.array([3, 7]))
    view.path.value = "chosen.xyz"
    view.save_button.click()
    assert "2 frames in" in said(view)
    assert 'href="chosen.xyz"' in said(view)
    view._keep(np.array([3]))
    assert said(view) == ""


def test_a_saved_crystal_keeps_cell_stress_and_all_of_its_own(tmp_path):
    atoms = bulk("NaCl", "rocksalt", a=5.64 + 1 / 3)
    atoms.rattle(0.1, seed=0)
    stress = np.linspace(-0.1, 0.1, 6) / 3
    atoms.calc = SinglePointCalculator(
        atoms, energy=-1 / 3, forces=np.eye(3)[:2] / 7, stress=stress
    )
    atoms.info["note"] = "from a run"
    atoms.set_array("spin", np.array([1 / 3, -1 / 3]))
    read = ase.io.read(mt.explore([atoms]).save_selection(tmp_path / "one.xyz"))
    assert read.cell.tolist() == atoms.cell.tolist()
    assert read.pbc.tolist() == [True] * 3
    assert read.get_stress().tolist() == stress.tolist()
    assert read.arrays["spin"].tolist() == [1 / 3, -1 / 3]
    assert read.info["note"] == "from a run"


def test_of_very_many_frames_a_part_is_read_and_said_to_be(monkeypatch):
    monkeypatch.setattr(explore_module, "MAX_FRAMES", 20)
    view = mt.explore([bulk("Cu")] * 500)
    assert len(view.dataset) == 20
    assert "20 frames</b> of 500, evenly spread" in view.children[0].value
    assert view.dataset.indices[[0, -1]].tolist() == [0, 499]


def test_many_frames_are_read_beside_other_work_and_a_cancellation_leaves_what_is_read(monkeypatch):
    monkeypatch.setattr(explore_module, "PATIENCE", 0.0)
    goes_on, real = threading.Event(), FrameRows.read

    def read(rows, i):
        if len(rows.frames) == 30:
            assert goes_on.wait(60)
        real(rows, i)

    monkeypatch.setattr(FrameRows, "read", read)
    view = mt.explore([bulk("Cu")] * 150)
    assert view.children == (view.work,)
    assert view.numbers() is None
    view.work.cancel()
    goes_on.set()
    view.wait(60)
    n = len(view.dataset)
    assert 0 < n < 150
    assert f"{n} frames</b> of 150, evenly spread" in view.children[0].value
    assert sum(view.plots.trace("formulas").x) == n
    view.work.button.click()
    view.wait(60)
    assert len(view.dataset) == 150
    assert sum(view.plots.trace("formulas").x) == 150
    assert len(view.plots.points[MAP]) == 150


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
    assert view.picture().startswith(b"\x89PNG")


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


def test_values_that_are_the_same_up_to_rounding_are_shown():
    frames = []
    for shift in (0, 1, 3):
        atoms = molecule("N2")
        forces = np.array([[0, 0, 1.3], [0, 0, -1.3]]) * (1 + shift * 2.3e-16)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=forces)
        frames.append(atoms)
    view = mt.explore(frames)
    bars = next(t for t in view.figure.data if t.name == "histogram of force (meV/Å)")
    assert sum(bars.y) == 6
    assert view.picture().startswith(b"\x89PNG")


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
    assert view.picture().startswith(b"\x89PNG")


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


def test_the_doctor_looks_at_the_frames_and_shows_those_it_finds(mixed):
    """Forces that do not add up to zero are random here, so that each frame is found."""
    frames = [atoms.copy() for atoms in mixed]
    for atoms, labelled in zip(frames, mixed, strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=labelled.get_potential_energy())
    frames[5].positions[1] = frames[5].positions[0] + 0.2
    frames[5].calc = SinglePointCalculator(frames[5], energy=-9.0)
    view = mt.explore(frames)
    view.findings.start()
    view.findings.work.wait(60)
    (finding,) = [f for f in view.findings.report if f.id == "overlapping-atoms"]
    assert "40 frames looked at" in view.findings.text
    assert "<img" in view.findings.text
    (row,) = [row for row in view.findings._found.children if isinstance(row, W.HBox)]
    row.children[1].click()
    assert view.selected.tolist() == list(finding.frames) == [5]


def test_a_look_that_fails_says_why(mixed, monkeypatch):
    def fails(*_, **__):
        msg = "no such thing"
        raise RuntimeError(msg)

    monkeypatch.setattr("mattertune_nb.widgets.views.findings.check", fails)
    view = mt.explore(mixed)
    view.findings.start()
    with pytest.raises(RuntimeError, match="no such thing"):
        view.findings.work.wait(60)
