"""The error of each frame stands against its distance to training, from the files of a run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.model.novelty import Novelty
from mattertune_nb.training.records.novelty import read_novelty, write_novelty
from mattertune_nb.training.runs.run import Run
from mattertune_nb.widgets.live.distance_view import DistanceView, paired
from mattertune_nb.widgets.live.sections import SECTIONS


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Return a run of one epoch over a few frames of ethanol, with a test set."""

    def part(name, index):
        return mt.XYZDatasetConfig(src=mt.demo_data(name), index=index)

    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.ManualSplitDataModuleConfig(
            train=part("train", ":16:2"),
            validation=part("validation", ":10"),
            test=part("test", ":4"),
        ),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(name="run", root=tmp_path_factory.mktemp("runs")),
    )
    return mt.MatterTuner(config).tune().run


def test_a_run_measures_each_frame_of_validation_and_test(tuned):
    found = read_novelty(tuned.directory)
    assert {stage: len(n.distances) for stage, n in found.items()} == {"validation": 10, "test": 4}
    data = json.loads(tuned.directory.validation_file.read_text())
    assert data["ranked_by"] == "forces"
    assert sorted(i for i, _ in data["frames"]) == list(range(10))
    # the mean over frames of one size is the error of all
    errors = [error for _, error in data["frames"]]
    assert np.mean(errors) == pytest.approx(tuned.metrics()[-1]["val/forces_mae"], rel=1e-4)


def test_the_panel_shows_them(tuned):
    assert DistanceView in SECTIONS
    view = DistanceView(tuned)
    assert view.picture == b""
    view.refresh()
    assert view.picture.startswith(b"\x89PNG")
    assert "Medians: validation " in view.text
    assert ", test " in view.text
    drawn = view._image.value
    view.refresh()
    assert view._image.value is drawn, "nothing is drawn where nothing is new"


def test_frames_that_resemble_training_are_said(tuned, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(tuned.directory.config_file, tmp_path / "run")
    run = Run(tmp_path / "run")
    write_novelty(run.directory, {"validation": Novelty(np.arange(10), np.full(10, 0.04))})
    run.directory.validation_file.write_text(tuned.directory.validation_file.read_text())
    view = DistanceView(run)
    view.refresh()
    assert "resemble training frames" in view.text
    run.directory.distances_file.write_text("{}")
    view.refresh()
    assert "distances to the training frames are not known" in view.text


def test_the_report_shows_them_too(tuned):
    page = tuned.report().read_text()
    section = page[page.index("Distance to training") :]
    assert "data:image/png" in section[: section.index("SHA-256")]
    assert "Medians: validation " in section


def test_an_error_belongs_to_its_frame():
    novelty = Novelty(np.array([0, 2, 4]), np.array([0.1, 0.2, 0.3]))
    distances, errors = paired(novelty, [[4, 9.0], [1, 5.0], [0, 7.0]])
    assert (distances.tolist(), errors.tolist()) == ([0.3, 0.1], [9.0, 7.0])
