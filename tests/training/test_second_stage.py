"""A run that begins with what another one has tuned, and one that ends worse than it began."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from ase.io import read

import mattertune_nb as mt
from mattertune_nb.calculator import MatterTuneCalculator
from mattertune_nb.training.outcome.evaluation import evaluate, evaluate_stages
from mattertune_nb.training.outcome.verdict import EndedWorse, verdict
from mattertune_nb.training.records.summary import summary_of
from mattertune_nb.training.run_dir import RunDirectory


@pytest.fixture
def first(morse_config):
    """Return a run that has tuned a little."""
    return mt.MatterTuner(morse_config("first", max_epochs=2)).tune().run


def test_a_second_stage_begins_where_the_first_ended_and_stands_alone(first, morse_config):
    settings = {"checkpoint": first, "optimizer": mt.AdamWConfig(lr=1e-4)}
    config = morse_config("second", max_epochs=1, model=settings)
    assert mt.MatterTunerConfig.from_yaml_text(config.to_yaml()) == config
    assert config.model.checkpoint == first.path
    result = mt.MatterTuner(config).tune()
    ended = first.directory.best_metrics()
    for metric in ("energy_per_atom_mae", "forces_mae"):
        began = result.model.baseline[f"baseline/{metric}"]
        assert began == pytest.approx(ended[f"val/{metric}"], rel=1e-4), metric
    told = str(result.run.verdict())
    assert "than at its start" in told
    assert "untuned" not in told.replace("at its start, energies re-referenced", "")

    shutil.rmtree(first.path)
    config.trainer.max_epochs = 2
    assert mt.MatterTuner(config).resume(result.run.path).trainer.current_epoch == 2
    data = config.data.create_datasets()["validation"]
    errors = evaluate(mt.Run(result.run.path).model(), data)
    best = result.run.directory.best_metrics()
    assert errors["forces_mae"] == pytest.approx(best["val/forces_mae"], rel=1e-5)
    with pytest.warns(UserWarning, match=r"errors before training are left out: .*first"):
        assert list(evaluate_stages(result.run.path, data)) == ["tuned"]


def test_before_there_is_a_checkpoint_the_first_run_is_needed_and_named(first, morse_config):
    config = morse_config("second", model={"checkpoint": first.path})
    run, _ = RunDirectory.create(config)
    shutil.rmtree(first.path)
    with pytest.raises(mt.MatterTuneError, match=r"checkpoint: .*first"):
        mt.MatterTuner(config).resume(run)
    with pytest.raises(mt.MatterTuneError, match=r"checkpoint: .*first"):
        mt.MatterTuner(morse_config("third", model={"checkpoint": first.path})).start()
    assert not (config.run.root / "third").exists()


@pytest.mark.parametrize("kind", ["run", "directory", "text", "file"])
def test_a_run_is_taken_wherever_a_checkpoint_is(kind, first, copper_xyz):
    place = {
        "run": first,
        "directory": first.path,
        "text": str(first.path),
        "file": first.directory.best,
    }[kind]
    (atoms,) = read(copper_xyz, ":1")
    expected = first.model().property_predictor().predict([atoms])[0]["energy"]
    model = mt.FinetuneModuleBase.load_from_checkpoint(place)
    atoms.calc = MatterTuneCalculator(place)
    predicted = mt.PropertyPredictor(place).predict([atoms])[0]["energy"]
    found = model.ase_calculator().get_potential_energy(atoms), predicted
    assert [atoms.get_potential_energy(), *found] == pytest.approx([expected] * 3, abs=1e-6)


def test_a_directory_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(mt.TrainingError, match="contains no checkpoint of a run"):
        mt.FinetuneModuleBase.load_from_checkpoint(tmp_path)


def test_a_run_that_ends_worse_than_it_began_says_so_everywhere(morse_config):
    config = morse_config(
        max_epochs=2, model={"optimizer": mt.AdamWConfig(lr=0.5), "lr_scheduler": None}
    )
    with pytest.warns(EndedWorse, match=r"Worse than before in .*Try: a lower learning rate"):
        result = mt.MatterTuner(config).tune()
    run = result.run.directory
    told = str(verdict(summary_of(run)))
    assert run.status().note == told
    assert told in run.log_file.read_text()
    assert told in mt.runs(config.run.root).rows[0]["verdict"]


def test_the_command_line_says_it_once(morse_config, tmp_path):
    config = morse_config(max_epochs=1, model={"optimizer": mt.AdamWConfig(lr=0.5)})
    mt.MatterTuner(config).tune()
    config.to_yaml(tmp_path / "config.yaml")
    command = [sys.executable, "-m", "mattertune_nb.cli", "resume", str(config.run.root / "run")]
    done = subprocess.run(
        [*command, "--set", "trainer.max_epochs=2"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": ":".join([str(tmp_path / "site"), *sys.path]),
        },
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("Worse than before") == 1
