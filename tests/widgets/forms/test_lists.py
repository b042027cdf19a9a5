"""Lists of configs: rows that are added, removed and refused one by one."""

from __future__ import annotations

import mattertune_nb as mt
from mattertune_nb.widgets.forms.lists import Rows


def controls(form, name):
    return form.editor.editors[name]


def test_rows_are_added_and_removed():
    form = mt.TrainerForm()
    rows = controls(form, "loggers")
    assert isinstance(rows, Rows)
    rows.add_button.click()
    rows.add_button.click()
    assert [type(x).__name__ for x in form.config.loggers] == ["CSVLoggerConfig"] * 2
    rows.rows[1].kind.value = "tensorboard"
    assert isinstance(form.config.loggers[1], mt.TensorBoardLoggerConfig)
    rows._remove(rows.rows[0])
    assert len(form.config.loggers) == 1


def test_a_bad_entry_in_a_row_is_refused_in_that_row():
    form = mt.TrainerForm(mt.TrainerConfig(loggers=["csv", "csv"]))
    row = controls(form, "loggers").rows[1]
    field = row.inner.editors["flush_logs_every_n_steps"]
    field.control.value = "0"
    assert "must be at least 1" in field.problem
    assert controls(form, "loggers").rows[0].inner.editors["flush_logs_every_n_steps"].problem == ""
    assert form.config == mt.TrainerConfig(loggers=["csv", "csv"])
