"""Curves of bounded length that lose no extremum, sorted into panels."""

from __future__ import annotations

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.training.files import append_line
from mattertune_nb.training.records.reader import RecordReader
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.expected import expected_from, metrics_of
from mattertune_nb.widgets.live.scales import panel_colors
from mattertune_nb.widgets.live.series import MAX_POINTS, CurveData, Series


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
    assert forces.lines == {"untuned": 250.0}
    assert forces.best[:3] == (19, 1, 50.0)
    assert set(data.panels["loss"].series) == {"train/total_loss", "val/total_loss", "train_loss"}


def test_each_star_is_the_best_of_its_own_panel_and_the_monitor_chooses_what_is_kept():
    rng = np.random.default_rng(1)
    table = rng.random((20, 3))
    data = CurveData("val/total_loss")
    names = ["val/total_loss", "val/energy_per_atom_mae", "val/forces_mae"]
    data.add(
        {"step": i, "epoch": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(table)
    )
    for name, values in zip(names, table.T, strict=True):
        panel = data.panels["loss" if "loss" in name else name]
        factor = 1000 if name.endswith("mae") else 1
        assert panel.best.epoch == np.argmin(values)
        assert panel.best.value == factor * values.min()
    assert data.kept[:3] == data.panels["loss"].best[:3]


def test_a_monitor_that_should_rise_is_best_where_it_is_highest():
    data = CurveData("val_acc", "max")
    data.add([{"step": i, "epoch": i, "val_acc": v} for i, v in enumerate([0.3, 0.9, 0.5])])
    (panel,) = data.ordered()
    assert panel.best[:3] == data.kept[:3] == (1, 1, 0.9)


def test_a_monitor_that_would_else_not_be_drawn_is_drawn_with_its_unit():
    data = CurveData("val/forces_rmse")
    data.add([{"step": 0, "epoch": 0, "baseline/forces_rmse": 0.3}])
    data.add([{"step": 9, "epoch": 0, "val/forces_rmse": 0.2}])
    (panel,) = data.ordered()
    assert (panel.title, panel.unit) == ("forces RMSE", "meV/Å")
    assert panel.lines == {"untuned": 300.0}
    assert panel.best.value == 200.0


def test_a_metric_of_unknown_direction_has_no_star():
    data = CurveData("val/total_loss")
    data.add([{"step": 1, "epoch": 0, "val/total_loss": 1.0, "my_accuracy": 0.5}])
    assert data.panels["my_accuracy"].best is None


BASELINES = {
    "baseline/energy_per_atom_mae": 151.37,
    "baseline/referenced_energy_per_atom_mae": 0.014,
    "baseline/forces_mae": 0.25,
}


def test_a_line_that_is_off_scale_is_told_in_words_and_the_other_drawn():
    data = CurveData()
    data.add([{"step": 0, "epoch": 0, **BASELINES}])
    data.add([{"step": 9, "epoch": 0, "val/energy_per_atom_mae": 0.02}])
    energy = data.panels["val/energy_per_atom_mae"]
    assert energy.off_scale() == {"untuned": 151_370.0}
    assert energy.in_sight() == {"untuned, energies re-referenced": 14.0}
    data.add([{"step": 19, "epoch": 1, "val/energy_per_atom_mae": 100.0}])
    assert set(energy.in_sight()) == {"untuned", "untuned, energies re-referenced"}


def test_references_that_change_nothing_are_no_second_line():
    data = CurveData()
    same = dict.fromkeys(
        ["baseline/energy_per_atom_mae", "baseline/referenced_energy_per_atom_mae"], 0.1
    )
    data.add([{"step": 0, "epoch": 0, **same}])
    assert data.panels["val/energy_per_atom_mae"].lines == {"untuned": 100.0}


def test_all_panels_that_will_come_are_there_from_the_first_moment():
    data = CurveData("val/total_loss", "min", metrics_of(["energy", "forces", "stresses"]))
    titles = ["loss", "energy MAE", "forces MAE", "stress MAE", "learning rate"]
    assert [panel.title for panel in data.ordered()] == titles
    data.add(RECORDS[:4])
    data.clear()
    assert [panel.title for panel in data.ordered()] == titles


def test_the_panels_of_structures_elsewhere_are_there_before_those_are_found():
    config = mt.demo_config()
    reserved, own = expected_from(config.model, looks_elsewhere=True)
    data = CurveData("val/total_loss", "min", reserved, own)
    titles = ["loss", "energy MAE", "forces MAE", "forces elsewhere", "energy elsewhere"]
    assert [panel.title for panel in data.ordered()] == [*titles, "learning rate"]
    data.add([{"step": 0, "epoch": 0, "baseline/foreign/forces_mae": 0.0}])
    data.add([{"step": 1, "epoch": 0, "train/total_loss": 1.0}])
    assert [panel.title for panel in data.ordered()] == [*titles[:4], "learning rate"]
    # where none was found, as in runs of older versions, nothing waits for them
    data.clear()
    data.add([{"step": 1, "epoch": 0, "train/total_loss": 1.0}])
    assert [panel.title for panel in data.ordered()] == [*titles[:3], "learning rate"]


def test_training_and_validation_of_a_foreign_metric_share_a_panel_and_no_colour():
    data = CurveData()
    names = ["train_acc", "val_acc/dataloader_idx_0", "val_acc/dataloader_idx_1", "val/force_rmse"]
    data.add([{"step": 1, "epoch": 0, **dict.fromkeys(names, 0.5)}])
    assert [panel.title for panel in data.ordered()] == ["acc", "force_rmse"]
    colors = panel_colors(data.panels["acc"])
    assert len(set(colors.values())) == 3


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


def test_the_time_of_training_has_no_pauses_in_it():
    data = CurveData()
    data.add(
        [{"step": i, "epoch": 0, "time": 1000.0 + i, "train/total_loss": 1.0} for i in range(4)]
    )
    data.add([{"kind": "resumed", "time": 90_000.0, "step": 4}])
    data.add(
        [{"step": i, "epoch": 0, "time": 90_000.0 + i, "train/total_loss": 1.0} for i in (4, 5)]
    )
    seconds = data.panels["loss"].series["train/total_loss"].array()[:, 3]
    assert seconds.tolist() == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize("per_epoch", [1, 7])
def test_the_length_of_an_epoch_is_seen_once_one_has_ended(per_epoch):
    data = CurveData()
    for step in range(3 * per_epoch):
        data.add([{"step": step, "epoch": step // per_epoch, "train/total_loss": 1.0}])
        assert data.epoch_length() == (per_epoch if step >= per_epoch else None)


def test_the_best_is_chosen_anew_where_a_resume_changed_the_measure():
    data = CurveData(monitor="val/forces_mae")
    values = [(0, 0.1), (5, 0.3), (10, 0.2)]
    data.add({"kind": "metrics", "step": s, "epoch": s, "val/forces_mae": v} for s, v in values)
    assert data.kept.step == 0
    data.add([{"kind": "changed", "step": 11, "best_step": 5, "best_score": 0.3, "settings": {}}])
    assert data.kept.step == 5
    assert not any("best" in title for title in data.panels)
    data.add([{"kind": "metrics", "step": 15, "epoch": 3, "val/forces_mae": 0.25}])
    assert data.kept.step == 15
    data.add([{"kind": "changed", "step": 16, "best_step": None, "best_score": None}])
    assert data.kept is None


def test_a_users_own_property_has_a_panel_with_its_unit_and_the_untuned_line():
    own = mt.GraphPropertyConfig(name="band_gap", unit="eV").about()
    data = CurveData("val/band_gap_mae", "min", ["val/band_gap_mae"], [own])
    data.add(
        [
            {"step": 0, "epoch": 0, "time": 0.0, "baseline/band_gap_mae": 0.9},
            {"step": 4, "epoch": 0, "time": 1.0, "val/band_gap_mae": 0.4, "val/band_gap_loss": 7.0},
            {"step": 8, "epoch": 1, "time": 2.0, "val/band_gap_mae": 0.3, "val/band_gap_rmse": 0.5},
        ]
    )
    (panel,) = [p for p in data.ordered() if p.title == "band gap MAE"]
    assert panel.unit == "eV"
    assert panel.lines == {"untuned": 0.9}
    assert [point.value for point in panel.series["validation"]] == [0.4, 0.3]
    assert data.kept is not None
    assert data.kept.value == 0.3
    assert not {"band_gap_rmse", "val/band_gap_loss"} & {
        name for p in data.ordered() for name in (p.title, *p.series)
    }
