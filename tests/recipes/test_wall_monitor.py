"""Walls are compared over a fit, under any Trainer and in a run, and told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.physics.holes import distances
from mattertune_nb.recipes import budget
from mattertune_nb.training.records.walls import read_walls
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.walls_view import WallsView, walls_html


class Collapse(Callback):
    """Turns the potential over at the end of each epoch, so that near atoms pull each other together."""

    def on_train_epoch_end(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.backbone.depth.fill_(-1.0)

    on_validation_start = on_train_epoch_end


def test_under_any_trainer(copper_xyz, morse_installed, tmp_path, caplog):
    data = mt.MatterTuneDataModule(
        mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=copper_xyz), train_split=9)
    )
    monitor, model = mt.WallMonitor(), mt.FinetuneModuleBase(MorseBackboneConfig())
    before = model.ase_calculator()
    expected = [
        before.get_potential_energy(Atoms("Cu2", [(0, 0, 0), (0, 0, r)])) for r in distances(20)
    ]
    trainer = Trainer(
        max_epochs=1, callbacks=[monitor, Collapse()], logger=False, accelerator="cpu",
        default_root_dir=tmp_path, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    (wall,) = monitor.untuned
    np.testing.assert_allclose(np.diff(wall.energies[:20]), np.diff(expected), rtol=1e-3)
    (hole,) = monitor.holes
    assert hole.is_new
    assert "now pull each other together: Cu–Cu below" in caplog.text


class Watched(Callback):
    """Reads the record of the run at the start of each epoch."""

    def __init__(self):
        self.records = []

    def on_train_epoch_start(self, trainer, pl_module):
        root = Path(trainer.default_root_dir)
        self.records.append(read_walls(RunDirectory.open(root)))


def test_a_run_tells_of_holes_while_it_trains(morse_config):
    watched = Watched()
    settings = {"max_epochs": 3, "foreign_set": mt.ForeignSetConfig(share=1.0)}
    run = mt.MatterTuner(morse_config(**settings)).tune(callbacks=[Collapse(), watched]).run
    first, *others = watched.records
    assert first.tuned is None
    record = others[-1]
    assert not record.is_best
    assert record.epoch in (0, 1)
    assert any(hole.is_new for hole in record.holes)
    assert f"Now: epoch {record.epoch + 1}. <b>New holes: Cu–Cu" in walls_html(record)
    assert read_walls(run.directory).is_best


def test_its_measurements_share_the_time_of_the_foreign_set(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: clock.now))
    trainer = SimpleNamespace(
        sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        strategy=SimpleNamespace(broadcast=lambda x: x),
    )
    shared, seconds = budget.Budget(0.1), {"foreign": 2.0, "walls": 1.0}
    shared.begin()
    measured = {"foreign": [], "walls": []}
    for trainer.global_step in range(200):
        clock.now += 1.0
        for what, cost in seconds.items():
            if shared.allows(trainer, what, expected=1.0 if what == "walls" else 0.0):
                measured[what].append(trainer.global_step)
                with shared.spending(what):
                    clock.now += cost
    # the first of the walls waits until it is affordable; from then on both are measured at once
    assert measured["foreign"][0] == 0
    assert measured["foreign"][1:] == measured["walls"]
    assert len(measured["walls"]) in (5, 6)
    spent = sum(cost * len(measured[what]) for what, cost in seconds.items())
    assert spent <= 0.1 * 200


@pytest.fixture
def run(morse_config):
    return mt.MatterTuner(morse_config(max_epochs=2)).tune(callbacks=[Collapse()]).run


def test_a_run_tells_new_holes_in_verdict_table_panel_and_report(run):
    record = read_walls(run.directory)
    assert record.is_best
    (hole,) = record.holes
    assert hole.is_new
    assert f"new hole: {hole}" in str(run.verdict())
    (row,) = mt.runs(run.path.parent).rows
    assert row["new holes"] == "1"
    view = WallsView(run)
    view.refresh()
    assert unbroken(str(hole)) in view.text
    assert view.picture.startswith(b"\x89PNG")
    assert unbroken(str(hole)) in run.report().read_text()


def test_a_run_without_new_ones_says_so(morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=1)).tune().run
    assert read_walls(run.directory).holes == []
    assert "no new holes" in str(run.verdict())
    (row,) = mt.runs(run.path.parent).rows
    assert row["new holes"] == "0"


def test_a_resumed_run_compares_with_the_untuned_model(run):
    before = read_walls(run.directory)
    config = run.config()
    config.trainer.max_epochs = 3
    again = mt.MatterTuner(config).resume(run.path).run
    np.testing.assert_array_equal(
        read_walls(again.directory).untuned[0].energies, before.untuned[0].energies
    )


def test_it_can_be_turned_off(morse_config):
    run = mt.MatterTuner(morse_config(max_epochs=1, walls=False)).tune().run
    assert read_walls(run.directory) is None
    assert "hole" not in str(run.verdict())
