"""One definition of the best validation, for records, resumes and curves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mattertune_nb
from mattertune_nb.training.records.metrics import best_record, worst
from mattertune_nb.widgets.live.series import CurveData

RECORDS = [
    {"kind": "validation", "epoch": k, "step": k, "time": k, "score": value}
    for k, value in enumerate([3.0, 1.0, 7.0, 1.0, 7.0, None])
]


@pytest.mark.parametrize(("mode", "step", "value"), [("min", 1, 1.0), ("max", 2, 7.0)])
def test_the_first_of_the_best_is_the_best_in_records_and_curves(mode, step, value):
    assert best_record(RECORDS, "score", mode)["step"] == step
    data = CurveData(monitor="score", mode=mode)
    data.add(RECORDS)
    (panel,) = (p for p in data.panels.values() if p.best is not None)
    assert (panel.best.step, panel.best.value) == (step, value)
    first = {**RECORDS[0], "score": worst(mode)}
    assert best_record([first, *RECORDS], "score", mode)["score"] == value


def test_what_a_mode_means_is_said_once():
    root = Path(mattertune_nb.__file__).parent
    found = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if re.search(r"mode [!=]= \"m(in|ax)\"", path.read_text(encoding="utf-8"))
    ]
    assert found == ["training/records/metrics.py"]
