"""A run goes on with the frames that it began with, which are known again by what they hold."""

from __future__ import annotations

import json
import warnings

import ase.io
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

import mattertune_nb as mt
from mattertune_nb.training.outcome.evaluation import evaluate_stages
from mattertune_nb.training.records.split import SplitRecord, datasets_of
from mattertune_nb.training.run_dir import RunDirectory


@pytest.fixture
def tuned(morse_config):
    """Return the config and the directory of a run of one epoch, to be gone on with."""
    config = morse_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    config.trainer.max_epochs = 2
    return config, RunDirectory(config.run.root / "run")


def change(path, i, what):
    """Change one frame of a file."""
    frames = ase.io.read(path, ":")
    results = dict(frames[i].calc.results)
    if what == "energy":
        results["energy"] += 0.1
    else:
        frames[i].positions[0] += 0.1
    frames[i].calc = SinglePointCalculator(frames[i], **results)
    ase.io.write(path, frames)


def test_the_record_names_each_frame_by_what_it_holds(tuned):
    _, run = tuned
    written = json.loads(run.splits_file.read_text())
    assert (written["rule"], written["of"]) == ("random", {"dataset": 14})
    assert len(written["train"]) == len(written["frames"]["train"]) == 9
    assert all(len(name) == 32 for name in written["frames"]["train"])
    assert run.splits() == {stage: written[stage] for stage in ("train", "validation")}


def test_frames_that_are_added_are_said_and_not_used(tuned, copper_xyz):
    config, run = tuned
    splits = run.splits()
    longer = copper_xyz.read_text() * 2
    copper_xyz.write_text(longer)
    with pytest.warns(
        UserWarning, match="14 frames were added to data.dataset since the run began"
    ):
        mt.MatterTuner(config).resume(run)
    assert run.splits() == splits
    assert json.loads(run.splits_file.read_text())["rule"] == "random"
    assert run.status().state == "finished"
    assert len(datasets_of(run)["train"]) == 9


@pytest.mark.parametrize(
    ("what", "words"),
    [("energy", "with other labels or digits"), ("positions", "another structure")],
)
def test_a_frame_that_has_changed_is_named(what, words, tuned, copper_xyz):
    config, run = tuned
    i = run.splits()["train"][2]
    change(copper_xyz, i, what)
    with pytest.raises(mt.RunError, match="the data have changed since the run began") as info:
        mt.MatterTuner(config).resume(run)
    assert f"1 of 9 frames for train, e.g. {copper_xyz}, frame {i}, {words}" in str(info.value)
    assert (run.status().state, run.status().error) == ("failed", str(info.value))


def test_a_file_that_has_become_shorter_is_refused(tuned, copper_xyz):
    config, run = tuned
    ase.io.write(copper_xyz, ase.io.read(copper_xyz, ":12"))
    with pytest.raises(mt.DataError, match=r"no longer has frame 1[23]"):
        mt.MatterTuner(config).resume(run)


def test_the_split_of_a_run_of_before_is_used_as_it_was(tuned):
    config, run = tuned
    before = {"train": [3, 1, 2, 0], "validation": [3, 9]}  # as no rule of today divides
    run.splits_file.write_text(json.dumps(before))
    mt.MatterTuner(config).resume(run)
    assert run.splits() == before
    assert run.status().step == 5 + 2
    assert SplitRecord.read(run).names["train"]


@pytest.mark.parametrize("lost", ["checkpoints", "splits"])
def test_other_frames_are_no_matter_where_nothing_is_known_of_the_first(lost, tuned, copper_xyz):
    config, run = tuned
    if lost == "checkpoints":
        for path in run.checkpoints_newest_first():
            path.unlink()
    else:
        run.splits_file.write_text("[]")
    copper_xyz.write_text(copper_xyz.read_text() * 2)
    mt.MatterTuner(config).resume(run)
    assert run.status().state == "finished"


def test_an_evaluation_says_which_frames_were_trained_on(tuned, copper_xyz, tmp_path):
    _, run = tuned
    train, validation = (run.splits()[stage] for stage in ("train", "validation"))
    frames = ase.io.read(copper_xyz, ":")
    mixed = tmp_path / "mixed.xyz"
    ase.io.write(mixed, [frames[i] for i in (*validation, *train[:3])])
    change(mixed, len(validation), "energy")
    with pytest.warns(
        UserWarning, match="3 of 8 frames were trained on, 1 of them with other labels"
    ):
        evaluate_stages(run.path, mt.XYZDatasetConfig(src=mixed).create_dataset())
    ase.io.write(mixed, [frames[i] for i in validation])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*trained on")
        evaluate_stages(run.path, mt.XYZDatasetConfig(src=mixed).create_dataset())


def test_an_evaluation_leaves_isolated_atoms_out_and_says_so(tuned, copper_xyz, tmp_path):
    _, run = tuned
    frames = [tmp_path / "with_atom.xyz", tmp_path / "without.xyz"]
    copper, atom = ase.io.read(copper_xyz, ":"), ase.Atoms("Cu")
    atom.calc = SinglePointCalculator(atom, energy=-250.0, forces=[[0, 0, 0]])
    ase.io.write(frames[0], [*copper, atom])
    ase.io.write(frames[1], copper)
    with pytest.warns(UserWarning, match=r"1 isolated atom \(Cu -250 eV\) left out"):
        found = evaluate_stages(run.path, mt.XYZDatasetConfig(src=frames[0]).create_dataset())
    assert found == evaluate_stages(run.path, mt.XYZDatasetConfig(src=frames[1]).create_dataset())
