"""Files that can run code: trusted by their user on this machine, and by no checkpoint or run."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from pathlib import Path

import pytest
from toy_backbone import PickledMorseBackboneConfig
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.backbones.start import Start
from mattertune_nb.backbones.trust import (
    digest,
    remember,
    require_remembered,
    trusting_remembered,
)
from mattertune_nb.cli import app
from mattertune_nb.config.errors import ConfigError, MatterTuneError
from mattertune_nb.model.starting import build
from mattertune_nb.training.outcome.models import load_model, untuned_of
from mattertune_nb.widgets.forms.estimate_line import EstimateLine


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(autouse=True)
def _new_machine(tmp_path, monkeypatch):
    """Begin on a machine on which nothing was trusted yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def file(tmp_path):
    """Write a harmless model as a vendor's pickle."""
    path = tmp_path / "a.model"
    path.write_bytes(pickle.dumps({"units": 1}))
    return path


@pytest.fixture
def run(file, morse_installed, copper_xyz, tmp_path):
    """Tune that model for a step, trusting its file."""
    config = mt.MatterTunerConfig(
        model=PickledMorseBackboneConfig(checkpoint=file, trust_checkpoint=True),
        data=mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=copper_xyz)),
        trainer=mt.TrainerConfig(max_steps=1, foreign_set=None, walls=False),
        run=mt.RunConfig(root=tmp_path / "runs", name="sent"),
    )
    return mt.MatterTuner(config).tune().run


def test_a_file_is_trusted_by_the_config_that_says_so(file):
    config = PickledMorseBackboneConfig(checkpoint=file)
    with pytest.raises(ConfigError, match=r"a\.model is a pickle.*set trust_checkpoint: true"):
        config.create_backbone()
    config.trust_checkpoint = True
    assert config.create_backbone().elements == ("Cu", "O")


def test_a_config_trusts_for_itself_even_a_file_trusted_before(file):
    PickledMorseBackboneConfig(checkpoint=file, trust_checkpoint=True).create_backbone()
    config = PickledMorseBackboneConfig(checkpoint=file)
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        config.create_backbone()
    with trusting_remembered():
        assert config.create_backbone()


def test_the_settings_in_a_checkpoint_trust_nothing(file):
    # as one that was made to name a file beside it, and keeps nothing that builds the model without
    settings = {"name": "pickled-morse", "checkpoint": str(file), "trust_checkpoint": True}
    config = PickledMorseBackboneConfig.from_dict(settings)
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        build(Start(settings), config)
    assert build(Start(settings, architecture={"units": 1}), config)


DOORS = {
    "mt.before_after": lambda run, frames: mt.before_after(run, frames),
    "mt.parity": lambda run, frames: mt.parity(run, frames),
    "evaluate RUN": lambda run, frames: _shell("evaluate", run.path, frames),
    "evaluate CHECKPOINT": lambda run, frames: _shell("evaluate", run.directory.last, frames),
    "validate RUN": lambda run, frames: _shell("validate", run.path, "--check", "rotation"),
    "report RUN": lambda run, frames: _shell("report", run.path),
}
UNTUNED = {
    "run": lambda run: run.path,
    "checkpoint": lambda run: run.directory.last,
    "archive": lambda run: run.export("safetensors", run.path.parent / "archive.safetensors"),
}
"""What may be sent, and loaded with the weights before training."""


def _shell(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception


@pytest.fixture
def sent(run, file, tmp_path, monkeypatch):
    """Send the run to another machine, with another file in the place of the model's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of the other machine"))
    file.write_bytes(pickle.dumps(Hostile(tmp_path / "it ran")))
    return run


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("door", DOORS)
def test_a_run_that_was_sent_runs_no_file_that_it_names(door, sent, copper_xyz, tmp_path):
    with contextlib.suppress(MatterTuneError):
        DOORS[door](sent, copper_xyz)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("kind", UNTUNED)
def test_the_weights_before_training_are_those_of_a_trusted_file(kind, run):
    assert untuned_of(load_model(UNTUNED[kind](run))).backbone.depth.item() == pytest.approx(0.3)


@pytest.mark.parametrize("kind", UNTUNED)
def test_the_file_of_a_sent_model_is_refused_in_words(kind, sent, tmp_path):
    with pytest.raises(ConfigError, match=r"a\.model is a pickle.*set trust_checkpoint: true"):
        untuned_of(load_model(UNTUNED[kind](sent)))
    assert not (tmp_path / "it ran").exists()


def test_a_form_tries_no_file_that_was_not_trusted_here_before(sent, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    line = EstimateLine()
    line.ask(sent.config())
    assert line.wait()
    assert "No estimate before the first start" in line.widget.value
    assert not (tmp_path / "it ran").exists()


def test_a_form_tries_a_file_that_was_trusted_here_before(run, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    line = EstimateLine()
    line.ask(run.config())
    assert line.wait()
    assert "About" in line.widget.value


def test_a_file_that_was_trusted_here_is_known_again_while_it_is_the_same(file):
    sha256 = digest(file)
    with pytest.raises(ConfigError, match="has not been trusted on this machine"):
        require_remembered(file, sha256)
    assert remember(file) == sha256
    require_remembered(file, sha256)
    file.write_bytes(b"another")
    with pytest.raises(ConfigError, match="SHA-256 differs"):
        require_remembered(file, sha256)
    file.unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        require_remembered(file, sha256)


def test_a_vendors_file_is_converted_by_a_command_that_says_what_it_lacks(tmp_path):
    # where MACE is not installed it says so, where it is, that there is no such file
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "a.model")])
    assert isinstance(done.exception, MatterTuneError)
