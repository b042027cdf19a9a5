"""Each number of the header against one worked out by other means."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

import mattertune_nb as mt
from mattertune_nb.training.records.status import Status
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.progress import Progress, progress_html, read_progress
from mattertune_nb.widgets.live.series import CurveData


@pytest.fixture
def run(tmp_path):
    """Return a run of 10 frames in batches of 4 over 12 epochs, as begun: 3 steps per epoch."""
    config = mt.demo_config(tmp_path, "run")
    config.data.batch_size = 4
    config.trainer.max_epochs = 12
    directory, _ = RunDirectory.create(config)
    directory.splits_file.write_text('{"train": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "validation": [0]}')
    return mt.Run.attach(directory.path)


def progress(run, *, epoch: int, step: int, state: str = "running", speed: float = 0.5) -> Progress:
    """Return the progress of a run that has made `speed` steps a second."""
    data = CurveData()
    data.add({"time": 100.0 + i / speed, "epoch": 0, "step": i} for i in range(step + 1))
    return read_progress(run, run.config(), Status(state, epoch, step, os.getpid()), data)


def test_time_left_is_that_of_the_steps_that_are_not_done(run):
    # 36 steps in all, 2 s each
    assert progress(run, epoch=0, step=1).eta == pytest.approx(35 * 2)
    assert progress(run, epoch=9, step=29).eta == pytest.approx(7 * 2)
    assert progress(run, epoch=11, step=36).eta == 0
    assert "14\u00a0s left" in progress_html(progress(run, epoch=9, step=29))


def test_time_left_is_not_said_of_a_run_that_has_ended(run):
    for state in ("stopped", "finished", "failed"):
        assert "left" not in progress_html(progress(run, epoch=9, step=29, state=state))


def test_speed_is_in_structures_and_not_in_steps(run):
    # an epoch's 10 structures take its 3 steps, 6 s
    assert progress(run, epoch=0, step=2).rate == pytest.approx(10 / 6)
    assert "1.67 structures/s" in progress_html(progress(run, epoch=0, step=2))


@pytest.mark.parametrize(
    ("state", "epoch", "text"),
    [
        ("starting", 0, "epoch 1 of 12"),
        ("running", 2, "epoch 3 of 12"),
        ("running", 11, "epoch 12 of 12"),
        ("stopped", 4, "epoch 5 of 12"),
        ("finished", 12, "epoch 12 of 12"),
        ("finished", 7, "epoch 7 of 12"),
    ],
)
def test_epochs_are_counted_from_1(state, epoch, text, run):
    assert f">{text} · " in progress_html(progress(run, epoch=epoch, step=3, state=state))


def test_the_bar_is_as_long_as_what_is_done(run):
    assert 'aria-valuenow="25"' in progress_html(progress(run, epoch=3, step=9))
    assert "width:25.0%" in progress_html(progress(run, epoch=3, step=9))
    assert "step 9 of 36" in progress_html(progress(run, epoch=3, step=9))


def test_batches_by_atoms_have_their_time_left_as_the_engine_knows_its_steps(run):
    config = run.config()
    config.data.max_atoms = 40
    data = CurveData()
    data.add({"time": 100.0 + i, "epoch": 0, "step": i} for i in range(4))
    status = Status("running", 0, 3, os.getpid())
    assert read_progress(run, config, status, data).eta is None
    told = read_progress(run, config, replace(status, steps_per_epoch=5), data)
    assert told.max_steps == 12 * 5
    assert told.eta == pytest.approx(60 - 3)
    assert told.rate == pytest.approx(10 / 5)


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """Return a process and all that it has started, as a browser that other tests share."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rsplit(")", 1)[1].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def test_memory_is_what_the_system_says_of_the_process(run):
    ballast = bytearray(200_000_000)
    resident = sum(map(resident_bytes, family(os.getpid())))
    shown = progress(run, epoch=0, step=2).memory
    assert shown == pytest.approx(resident / 1e9, rel=0.1)
    assert len(ballast)


def test_a_resumed_run_begins_where_it_goes_on(run):
    run.directory.write_status("stopped", epoch=5, step=17, saved=(5, 17))
    run.directory.claim()
    status = run.status()
    shown = progress_html(read_progress(run, run.config(), status, CurveData()))
    assert "epoch 6 of 12 · step 17 of 36" in shown
    assert f"width:{100 * 17 / 36:.1f}%" in shown


def test_a_pause_before_a_resume_does_not_slow_the_run(run):
    data = CurveData()
    now = time.time()
    data.add({"time": now - 9e4 + i, "epoch": 0, "step": i} for i in range(4))
    data.add([{"kind": "resumed", "epoch": 1, "step": 3, "time": now}])
    data.add({"time": now + i, "epoch": 1, "step": 3 + i} for i in range(4))
    assert data.steps_per_second() == pytest.approx(1)


def test_a_run_that_makes_no_step_yet_says_what_it_is_at_and_tells_no_speed(run):
    again = progress_html(progress(run, epoch=5, step=17, state="starting"))
    assert "reading the data and the model" in again
    assert "structures/s" not in again
    assert "predictions before the first step" in progress_html(progress(run, epoch=0, step=0))
    on = progress_html(progress(run, epoch=0, step=1))
    assert "…" not in on
    assert "structures/s" in on
