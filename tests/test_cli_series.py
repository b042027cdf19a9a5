"""The commands for several runs as one, end to end, on the shipped data."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.cli import app


def shell(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return the file of settings that train in seconds."""
    folder = tmp_path_factory.mktemp("series")
    data = mt.ManualSplitDataModuleConfig(
        train=mt.XYZDatasetConfig(src=mt.demo_data("train"), index=":8"),
        validation=mt.XYZDatasetConfig(src=mt.demo_data("validation"), index=":4"),
        batch_size=4,
    )
    trainer = mt.TrainerConfig(max_epochs=1, accelerator="cpu", walls=False, foreign_set=None)
    path = folder / "config.yaml"
    mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=data,
        trainer=trainer,
        run=mt.RunConfig(root=folder, name="few"),
    ).to_yaml(path)
    return path


def test_an_ensemble_is_trained_predicts_with_its_spread_and_chooses_frames(config, tmp_path):
    said = shell("ensemble", config, "--members", 2)
    folder = config.parent / "few"
    assert str(folder) in said
    predicted = tmp_path / "predicted.xyz"
    shell("predict", folder, mt.demo_data("test"), predicted)
    chosen = tmp_path / "next.xyz"
    shell(
        "select", mt.demo_data("test"), 3, "--model", folder, "-o", chosen, "--inputs", "espresso"
    )
    frames, best = ase.io.read(predicted, ":"), ase.io.read(chosen, ":")
    spread = np.array([np.linalg.norm(f.arrays["forces_std"], axis=1).max() for f in frames])
    picked = [
        min(range(len(frames)), key=lambda i: np.abs(frames[i].positions - b.positions).max())
        for b in best
    ]
    assert sorted(picked) == sorted(np.argsort(-spread)[:3].tolist())
    assert len(list((tmp_path / "next").rglob("*.pwi"))) == 3


def test_an_ensemble_that_is_stopped_says_how_to_continue(config, monkeypatch):
    def stopped(self, *args, **kwargs):
        (folder / "STOP").touch()
        return tune(self, *args, **kwargs)

    folder, tune = config.parent / "cut", mt.MatterTuner.tune
    monkeypatch.setattr(mt.MatterTuner, "tune", stopped)
    command = ["ensemble", str(config), "--members", "2", "--set", "run.name=cut"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 130
    assert result.output.splitlines()[-1] == (
        f"Stopped after 1 of 2 runs. To continue: mattertune-nb resume {folder}"
    )
    monkeypatch.undo()
    assert shell("resume", folder).splitlines()[-1] == f"The runs are in {folder}."


def test_a_learning_curve_says_what_twice_the_data_should_bring(config):
    said = shell(
        "learning-curve", config, "--fraction", 0.5, "--fraction", 1, "--set", "run.name=curve"
    )
    assert "twice" in said or "doubling" in said.lower()
    series = json.loads((config.parent / "curve" / "series.json").read_text())
    sizes = []
    for name in series["members"]:
        splits = json.loads((config.parent / "curve" / name / "splits.json").read_text())
        sizes.append(len(splits["train"]))
    assert sizes == [4, 8]
