"""Numbers that people read, each beside a computation of its own: no model, no training."""

from __future__ import annotations

import json
import math
import os

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.training.outcome.headlines import in_words, validation_in_words
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.runs.run import Run
from mattertune_nb.widgets.live.curve_table import curve_table
from mattertune_nb.widgets.live.progress import Progress, progress_html, read_progress
from mattertune_nb.widgets.live.series import CurveData
from mattertune_nb.widgets.views.atom_values import named_values, title_of
from mattertune_nb.widgets.views.bins import histogram
from mattertune_nb.widgets.views.dataset_table import DatasetTable
from mattertune_nb.widgets.views.structures import open_structures

ENERGY, FORCES = "val/energy_per_atom_mae", "val/forces_mae"


def record(step: int, epoch: int = 0, time: float = 0.0, **metrics: float) -> dict[str, float]:
    """Return a record as training writes it; underscores of names stand for their first slash."""
    values = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return {"kind": "metrics", "step": step, "epoch": epoch, "time": time, **values}


def curves(*records: dict[str, float], **expected: str) -> CurveData:
    data = CurveData(**expected)
    data.add(records)
    return data


# curves


def test_curves_stars_and_lines_are_in_the_unit_that_stands_beside_them():
    data = curves(
        {**record(0), "baseline/forces_mae": 0.238},
        record(9, 0, val_forces_mae=0.044, val_energy_per_atom_mae=0.0046),
        record(19, 1, val_forces_mae=0.061, val_energy_per_atom_mae=0.0017),
    )
    forces, energy = data.panels[FORCES], data.panels[ENERGY]
    assert (forces.unit, energy.unit) == ("meV/Å", "meV/atom")
    assert next(iter(forces.series.values())).array()[:, 2] == pytest.approx([44, 61])
    assert next(iter(energy.series.values())).array()[:, 2] == pytest.approx([4.6, 1.7])
    assert list(forces.lines.values()) == pytest.approx([238])
    # the smaller error is the better one, whichever comes first
    assert (forces.best.value, forces.best.step) == (pytest.approx(44), 9)
    assert (energy.best.value, energy.best.step) == (pytest.approx(1.7), 19)


@pytest.mark.parametrize(("mode", "best"), [("min", 0.2), ("max", 0.9)])
def test_the_star_is_at_the_end_of_the_metric_that_counts_as_good(mode, best):
    values = (0.5, 0.9, 0.2, 0.4)
    records = (record(i, i, val_accuracy=v) for i, v in enumerate(values))
    assert curves(*records, monitor="val/accuracy", mode=mode).kept.value == best


def test_speed_is_steps_over_time_and_a_pause_is_none():
    data = curves(record(0, time=100.0, train_total_loss=1.0), record(30, time=110.0))
    assert data.steps_per_second() == pytest.approx(30 / 10)
    data.add([{"kind": "resumed", "step": 31}])
    data.add([record(31, time=9000.0), record(41, time=9004.0)])
    assert data.steps_per_second() == pytest.approx(10 / 4)


def test_the_table_of_curves_counts_from_one():
    table = curve_table(curves(record(4, 2, val_forces_mae=0.05)))
    assert (table["step"], table["epoch"]) == ([5], [3])
    column = next(values for title, values in table.items() if "forces" in title)
    assert column == pytest.approx([50])


def test_the_log_says_the_unit_and_counts_epochs_from_one():
    assert in_words(FORCES, 0.0442) == "forces MAE 44.2 meV/Å"
    assert in_words(ENERGY, 0.0017) == "energy MAE 1.7 meV/atom"
    line = validation_in_words(4, 50, {"val/total_loss": 0.25, FORCES: 0.0442})
    assert line == "epoch 5, step 50: validation loss 0.25, forces MAE 44.2 meV/Å"


# the header of a run


@pytest.fixture
def half_done(tmp_path):
    """Return a run of 24 frames in batches of 2, two to a step, whose process is this one."""
    config = mt.demo_config(tmp_path, name="half")
    config.data.batch_size = 2
    config.trainer.max_epochs, config.trainer.accumulate_grad_batches = 10, 2
    directory, _ = RunDirectory.create(config)
    directory.splits_file.write_text(json.dumps({"train": list(range(24)), "validation": [0]}))
    directory.write_status("running", epoch=4, step=24, pid=os.getpid())
    run = Run(directory.path)
    data = curves(record(18, 3, time=50.0, train_total_loss=1.0), record(24, 4, time=53.0))
    return read_progress(run, run.config(), run.status(), data)


def test_the_time_left_is_that_of_the_steps_left(half_done):
    # 24 frames are 12 batches and 6 steps; ten epochs of them, 24 done, two a second
    assert half_done.max_steps == 10 * 6
    assert half_done.eta == pytest.approx((60 - 24) / 2)
    assert half_done.fraction == pytest.approx(24 / 60)
    # 24 frames in 6 steps are 4 a step
    assert half_done.rate == pytest.approx(2 * 4)


def test_the_memory_is_in_gigabytes(half_done):
    import psutil

    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    held = sum(process.memory_info().rss for process in family) / 2**30
    assert 0.5 * held < half_done.memory < 2 * held + 0.1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(42, "42\u00a0s left"), (600, "10\u00a0min left"), (16200, "4.5\u00a0h left")],
)
def test_the_time_left_has_its_unit(seconds, text):
    progress = Progress("a", "running", 0, 10, step=30, max_steps=60, eta=seconds)
    assert text in progress_html(progress)
    assert "width:50.0%" in progress_html(progress)


# several runs


def test_the_best_of_compared_runs_is_the_best_of_all(tmp_path):
    for name, errors in {"a": (0.30, 0.20), "b": (0.10, 0.15), "c": (0.40, 0.25)}.items():
        directory, _ = RunDirectory.create(mt.demo_config(tmp_path, name=name))
        for step, error in enumerate(errors):
            directory.append_metrics(
                "metrics", step, step, {FORCES: error, "val/total_loss": error}
            )
    panel = mt.compare(*(tmp_path / name for name in "abc")).data.panels[FORCES]
    assert panel.best.value == pytest.approx(1000 * 0.10)


# data sets


@pytest.fixture
def eleven_frames(tmp_path):
    """Write eleven frames of water with labels; return the file, energies, forces and stresses."""
    rng = np.random.default_rng(3)
    energies = np.r_[rng.normal(-14.0, 0.05, 10), -11.0]
    forces, stresses = rng.normal(size=(11, 3, 3)), rng.normal(size=(11, 6)) * 0.01
    frames = []
    for energy, force, stress in zip(energies, forces, stresses, strict=True):
        water = molecule("H2O")
        atoms = Atoms(water.symbols, water.positions, cell=[9, 9, 9], pbc=True)
        labels = {"energy": energy, "forces": force, "stress": stress}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    ase.io.write(tmp_path / "water.xyz", frames)
    return tmp_path / "water.xyz", energies, forces, stresses


def test_a_set_is_described_in_the_units_that_it_names(eleven_frames):
    path, energies, forces, stresses = eleven_frames
    columns = DatasetTable.read(open_structures(path)).columns()
    assert set(columns) == {"atoms", "energy (meV/atom)", "force (meV/Å)", "stress (meV/Å³)"}
    # one formula: the references take the same off all frames
    per_atom = 1000 * energies / 3
    assert columns["energy (meV/atom)"] - columns["energy (meV/atom)"][0] == pytest.approx(
        per_atom - per_atom[0], abs=1e-3
    )
    largest = [1000 * max(math.dist(f, (0, 0, 0)) for f in frame) for frame in forces]
    assert columns["force (meV/Å)"] == pytest.approx(largest, abs=1e-3)
    largest = [1000 * max(abs(s) for s in frame) for frame in stresses]
    assert columns["stress (meV/Å³)"] == pytest.approx(largest, rel=1e-6)


def test_how_far_out_a_frame_is_in_robust_standard_deviations(eleven_frames):
    path, energies, *_ = eleven_frames
    found = DatasetTable.read(open_structures(path)).outliers()
    frame, _, score = next(row for row in found if row[1].startswith("energy"))
    # by hand: of eleven values the sixth is the median, and so it is of their distances
    middle = sorted(energies)[5]
    distance = sorted(abs(e - middle) for e in energies)[5]
    # of a normal distribution half lies within 0.6745 standard deviations
    assert frame == 10
    assert score == pytest.approx(0.6745 * abs(energies[10] - middle) / distance, rel=1e-3)


def test_a_colour_scale_of_forces_has_the_unit_of_its_values(eleven_frames):
    path, _, forces, _ = eleven_frames
    assert title_of("force") == "force (meV/Å)"
    assert title_of("force_error") == "force error (meV/Å)"
    frames = open_structures(path)
    norms = [1000 * math.dist(force, (0, 0, 0)) for force in forces[4]]
    assert named_values(frames, "force", None, 4) == pytest.approx(norms, abs=1e-3)
    # a model that is off by a tenth along x
    errors = named_values(frames, "force_error", lambda i: forces[i] + [0.1, 0, 0], 4)
    assert errors == pytest.approx([100, 100, 100], abs=1e-3)


def test_a_histogram_counts_every_value():
    values = np.array([0.0, 1.0, 1.0, 2.0, 9.9, 10.0, np.nan])
    counts, edges = histogram(values, 10)
    assert edges == pytest.approx(range(11))
    assert counts.tolist() == [1, 2, 1, 0, 0, 0, 0, 0, 0, 2]
