"""Whatever stands in the files of a run, what shows it leaves bad records out, and says so."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings, strategies as st

import mattertune_nb as mt
from mattertune_nb.training.records.reader import RecordReader
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.expected import expected_of
from mattertune_nb.widgets.live.progress import progress_html, read_progress
from mattertune_nb.widgets.live.series import CurveData

VALUES = ["0", "1", "-1", "1.5", "null", "true", "NaN", "Infinity", "1e400", "1e308", "9" * 400]
VALUES += ["[]", "{}", "[[[]]]", "123456789012345678901234567890", '"a"', '"1"', '{"a": 1}']
KINDS = ['"metrics"', '"resumed"', '"changed"', "1", "null"]
NAMES = ["time", "epoch", "step", "train/total_loss", "val/total_loss", "val/forces_mae", "mine"]
NAMES += ["lr-AdamW", "val/energy_per_atom_mae", "baseline/forces_mae", "settings", "best_step", ""]
NAMES += ["baseline/referenced_energy_per_atom_mae"]
FIELDS = ["epoch", "step", "pid", "host", "heartbeat", "error", "saved_epoch", "saved_step"]


def mapping(names: list[str], first: str, of_first: list[str]) -> st.SearchStrategy[str]:
    """Return JSON mappings, a name mostly with a value that it may have."""
    pairs = st.dictionaries(st.sampled_from(names), st.sampled_from(VALUES))
    return st.builds(
        lambda value, found: (
            "{"
            + ",".join(f"{json.dumps(k)}: {v}" for k, v in ({first: value} | found).items())
            + "}"
        ),
        st.sampled_from(of_first),
        pairs,
    )


LINES = st.one_of(
    mapping(NAMES, "kind", KINDS), st.sampled_from(["", "{", "[1]", "3", '"x"', "[" * 3000])
)
STATES = ['"running"', '"finished"', '"failed"', '"gone"', "1"]
STATUSES = mapping(FIELDS, "state", STATES) | st.sampled_from(["", "[]", "{"])


def show_everything(lines: list[str], status: str) -> None:
    """Look at a run in each of the ways that there are."""
    with tempfile.TemporaryDirectory() as folder:
        config = mt.demo_config()
        directory = RunDirectory(Path(folder) / "run")
        directory.path.mkdir()
        directory.config_file.write_text(config.to_yaml())
        directory.metrics_file.write_text("".join(f"{line}\n" for line in lines))
        directory.status_file.write_text(status)
        run = mt.Run(directory.path)
        reader = RecordReader(directory)
        data = CurveData(*expected_of(run))
        data.add(reader.new_records()[0])
        data.damaged = reader.damaged
        curve_table(data)
        draw_curves(data)
        header = progress_html(read_progress(run, config, run.status(), data))
        assert ("left out" in header) == (reader.damaged > 0)
        assert str(run.verdict()) is not None
        assert run.directory.best_metrics() is not None
        assert "run" in repr(mt.runs(folder))
        assert repr(run)


@settings(max_examples=15)
@given(st.lists(LINES, max_size=6), STATUSES)
def test_odd_records_and_a_damaged_status_are_shown_in_words(lines, status):
    show_everything(lines, status)


def test_a_dashboard_and_the_table_of_runs_say_how_many_records_are_left_out(morse_config):
    config = morse_config(max_epochs=1)
    run = mt.MatterTuner(config).tune().run
    assert "left out" not in repr(mt.runs(run.path.parent))
    with run.directory.metrics_file.open("a") as file:
        file.write('{"step": "a"}\n{"val/forces_mae": [1]}\n')
    dashboard = run.dashboard()
    dashboard.refresh()
    assert "2 damaged records left out" in dashboard._header.value
    assert "finished · 2 damaged records left out" in repr(mt.runs(run.path.parent))
