"""Curves as numbers, in the units that the panels show."""

from __future__ import annotations

from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.series import CurveData


def test_a_row_a_step_with_units_and_both_steps_and_epochs_from_1():
    data = CurveData()
    assert curve_table(data) is None
    data.add(
        [
            {"step": 1, "epoch": 0, "train/total_loss": 0.5},
            {"step": 2, "epoch": 0, "train/total_loss": 0.25, "val/forces_mae": 0.0441},
            {"step": 4, "epoch": 1, "val/forces_mae": 0.0323},
        ]
    )
    table = curve_table(data)
    assert table["step"] == [2, 3, 5]
    assert table["epoch"] == [1, 1, 2]
    (loss,) = (title for title in table if "loss" in title)
    (forces,) = (title for title in table if "forces" in title)
    assert table[loss] == [0.5, 0.25, ""]
    assert forces.endswith("(meV/Å)")
    assert table[forces] == ["", 1000 * 0.0441, 1000 * 0.0323]
