"""Curves of bounded length that lose no extremum, sorted into panels."""

from __future__ import annotations

import numpy as np

from mattertune_nb.training.background import RecordReader
from mattertune_nb.training.files import append_line
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.curves import CurvesFigure, draw_curves, panel_colors
from mattertune_nb.widgets.live.series import MAX_PANELS, MAX_POINTS, CurveData, Series


def test_a_long_curve_is_bounded_and_keeps_its_extrema_and_ends():
    rng = np.random.default_rng(0)
    values = rng.normal(size=100_000)
    values[[31_111, 77_777]] = -50.0, 60.0
    series = Series()
    for step, value in enumerate(values):
        series.add(step, step // 100, value)
    array = series.array()
    assert len(array) <= MAX_POINTS
    assert array[0, 0] == 0
    assert array[-1, 0] == 99_999
    assert array[:, 2].min() == -50.0
    assert array[:, 2].max() == 60.0
    assert (np.diff(array[:, 0]) > 0).all()


RECORDS = [
    {
        "step": 0,
        "epoch": 0,
        "baseline/forces_mae": 0.25,
        "baseline/referenced_energy_per_atom_mae": 0.01,
    },
    {"step": 9, "epoch": 0, "train/total_loss": 1.0, "train/forces_loss": 0.5},
    {"step": 9, "epoch": 0, "val/forces_mae": 0.1, "val/forces_rmse": 0.2, "val/total_loss": 0.9},
    {"step": 19, "epoch": 1, "val/forces_mae": 0.05, "val/total_loss": None},
    {"step": 19, "epoch": 1, "lr-AdamW": 1e-3, "my_accuracy": 0.7, "train_loss": 3.0},
]


def test_records_are_sorted_into_panels_in_units_that_people_read():
    data = CurveData()
    data.add(RECORDS)
    titles = [panel.title for panel in data.ordered()]
    assert titles == ["loss", "energy MAE", "forces MAE", "learning rate", "my_accuracy"]
    forces = data.panels["val/forces_mae"]
    assert forces.unit == "meV/Å"
    assert forces.baseline == 250.0
    assert forces.best == (19.0, 1.0, 50.0)
    assert set(data.panels["loss"].series) == {"train/total_loss", "val/total_loss", "train_loss"}


def test_the_best_epoch_is_one_and_the_monitor_chooses_it():
    data = CurveData("val/energy_per_atom_mae")
    data.add(
        [
            {"step": 9, "epoch": 0, "val/forces_mae": 0.2, "val/energy_per_atom_mae": 0.001},
            {"step": 19, "epoch": 1, "val/forces_mae": 0.1, "val/energy_per_atom_mae": 0.002},
        ]
    )
    assert data.panels["val/energy_per_atom_mae"].best == (9, 0, 1.0)
    assert data.panels["val/forces_mae"].best == (9, 0, 200.0)


def test_a_monitor_that_should_rise_has_its_star_too():
    data = CurveData("val_acc", "max")
    data.add([{"step": i, "epoch": i, "val_acc": v} for i, v in enumerate([0.3, 0.9, 0.5])])
    (panel,) = data.ordered()
    assert panel.best == (1, 1, 0.9)


def test_training_and_validation_of_a_foreign_metric_share_a_panel_and_no_colour():
    data = CurveData()
    names = ["train_acc", "val_acc/dataloader_idx_0", "val_acc/dataloader_idx_1", "val/force_rmse"]
    data.add([{"step": 1, "epoch": 0, **dict.fromkeys(names, 0.5)}])
    assert [panel.title for panel in data.ordered()] == ["acc", "force_rmse"]
    colors = panel_colors(data.panels["acc"])
    assert len(set(colors.values())) == 3


def test_a_panel_that_comes_later_moves_the_others():
    data = CurveData()
    figure = CurvesFigure(data)
    data.add([{"step": 1, "epoch": 0, "val/forces_mae": 0.1}])
    figure.update()
    data.add([{"step": 2, "epoch": 0, "train/total_loss": 1.0}])
    figure.update()
    axes = {trace.name: trace.yaxis for trace in figure.widget.data}
    assert axes == {"validation": "y2", "best": "y2", "train/total_loss": "y"}
    assert "forces MAE" in figure.widget.layout.annotations[1].text


def test_panels_for_which_there_is_no_room_are_hidden_and_counted():
    data = CurveData()
    figure = CurvesFigure(data)
    metrics = {f"my_{i}": 1.0 for i in range(MAX_PANELS - 1)}
    data.add([{"step": 1, "epoch": 0, "train/total_loss": 1.0, **metrics}])
    figure.update()
    errors = {"val/forces_mae": 0.1, "val/energy_per_atom_mae": 0.1}
    data.add([{"step": 2, "epoch": 0, **errors}])
    figure.update()
    curves = [t for t in figure.widget.data if t.name != "best" and t.visible is not False]
    assert len({t.xaxis for t in curves}) == len(curves) == MAX_PANELS
    assert "2 further metrics not shown" in figure.widget.layout.annotations[-1].text
    assert draw_curves(data)


def test_the_speed_is_that_since_the_run_was_resumed(tmp_path):
    data, run = CurveData(), RunDirectory(tmp_path)
    reader = RecordReader(run)
    for begin, first in ((0, 0), (86_400, 100)):
        if begin:
            append_line(run.metrics_file, {"kind": "resumed", "time": begin, "step": first})
        for i in range(100):
            append_line(run.metrics_file, {"time": begin + i, "step": first + 5 * i, "epoch": 0})
        records, _ = reader.new_records()
        data.clear()
        data.add(records)
        assert data.steps_per_second() == 5
    assert not any(record.get("kind") == "resumed" for record in run.metrics())


def test_an_update_without_news_sends_nothing():
    data = CurveData()
    figure = CurvesFigure(data)
    data.add(RECORDS)
    figure.update()
    sent = []
    figure.widget.observe(lambda change: sent.append(change["name"]))
    figure.update()
    assert [name for name in sent if not name.startswith("_js2py")] == []
    data.add([{"step": 20, "epoch": 1, "train/total_loss": 1.0}])
    figure.update()
    assert sent


def test_one_figure_serves_all_panels_and_is_updated_in_place():
    data = CurveData()
    figure = CurvesFigure(data)
    widget = figure.widget
    data.add(RECORDS[:3])
    figure.update()
    n_traces = len(widget.data)
    data.add(RECORDS[3:])
    figure.update()
    assert figure.widget is widget
    assert len(widget.data) > n_traces
    validation = next(t for t in widget.data if t.name == "validation")
    assert list(validation.y) == [100.0, 50.0]
    assert sorted(t.y[0] for t in widget.data if t.name == "untuned") == [10.0, 250.0]


def test_the_picture_is_a_small_png():
    data = CurveData()
    assert draw_curves(data) is None
    data.add(RECORDS)
    image = draw_curves(data)
    assert image.startswith(b"\x89PNG")
    assert len(image) < 100_000
