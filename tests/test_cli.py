"""The commands, end to end, on the shipped data."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import ase.io
import nbformat
import numpy as np
import pytest
import yaml

import mattertune_nb as mt
from mattertune_nb.cli import override_settings
from mattertune_nb.demo.quickstart import copy_quickstart

COMMAND = [sys.executable, "-m", "mattertune_nb.cli"]


def shell(*arguments: object, check: bool = True, cwd: Path | None = None) -> str:
    process = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )
    if check:
        assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the directory of a run that `init` and `fit` made."""
    folder = tmp_path_factory.mktemp("cli")
    config = folder / "config.yaml"
    config.write_text(shell("init", mt.demo_data("validation")))
    changes = {
        "run.root": folder,
        "run.name": "small",
        "trainer.max_epochs": 2,
        "trainer.accelerator": "cpu",
        "data.dataset.index": "':12'",
        "model.properties.1.loss_coefficient": 2.0,
        "model.optimizer.lr": 1e-3,
    }
    options = [part for k, v in changes.items() for part in ("--set", f"{k}={v}")]
    output = shell("fit", config, *options)
    assert "forces (meV/Å)" in output
    return folder / "small"


def test_init_explains_every_field():
    text = shell("init")
    assert mt.MatterTunerConfig.from_dict(yaml.safe_load(text))
    for field in mt.TrainerConfig.model_fields.values():
        first_words = " ".join(field.description.split()[:4])
        assert first_words in text


def test_set_reaches_nested_fields(run):
    config = mt.MatterTunerConfig.from_yaml(run / "config.yaml")
    assert config.model.properties[1].loss_coefficient == 2.0
    assert config.data.dataset.index == ":12"
    assert config.trainer.max_epochs == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.max_epoch=3", "Did you mean 'max_epochs'?"),
        ("trainer.nothing.here=3", "there is no 'nothing'"),
        ("model.properties.7.loss_coefficient=3", "there is no '7'"),
        ("trainer.max_epochs", "write FIELD=VALUE"),
        ("model.optimizer.lr=fast", "model.optimizer.lr"),
    ],
)
def test_a_bad_change_names_the_field(change, message):
    with pytest.raises(mt.ConfigError) as info:
        override_settings(mt.demo_config(), [change])
    assert message in str(info.value)


def test_set_can_switch_on_what_was_not_set():
    changes = ["trainer.early_stopping.patience=3", "model.lr_scheduler=null"]
    config = override_settings(mt.demo_config(), changes)
    assert config.trainer.early_stopping.patience == 3
    assert config.model.lr_scheduler is None


def test_evaluate_shows_what_fine_tuning_gained(run):
    output = shell("evaluate", run, mt.demo_data("test"))
    for text in ("untuned", "+ reference energies", "tuned", "energy (meV/atom)", "forces (meV/Å)"):
        assert text in output


def test_predict_writes_what_the_model_says(run, tmp_path):
    frames = ase.io.read(mt.demo_data("test"), ":3")
    shell("predict", run, mt.demo_data("test"), tmp_path / "out.xyz")
    written = ase.io.read(tmp_path / "out.xyz", ":")
    assert len(written) == 60
    model = mt.FinetuneModuleBase.load_from_checkpoint(run / "checkpoints" / "best.ckpt")
    for frame, expected in zip(written, model.property_predictor().predict(frames), strict=False):
        assert frame.get_potential_energy() == pytest.approx(expected["energy"], abs=1e-5)
        np.testing.assert_allclose(frame.get_forces(), expected["forces"], atol=1e-5)


def test_resume_trains_longer(run):
    shell("resume", run, "--quiet", "--set", "trainer.max_epochs=3")
    assert mt.Run.attach(run).status().epoch == 3


def test_the_demo_trains_on_the_shipped_data(tmp_path):
    output = shell("demo", "--root", tmp_path, "--max-epochs", "1")
    assert "a trajectory that training never saw" in output


def test_the_quickstart_is_copied_once_and_an_edited_copy_stays(tmp_path):
    path = copy_quickstart(tmp_path)
    assert nbformat.read(path, as_version=4).cells[0].source.startswith("# Quickstart")
    path.write_text("mine")
    assert copy_quickstart(tmp_path).read_text() == "mine"


def test_the_wheel_carries_the_quickstart():
    root = Path(__file__).parents[1]
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for source in build["targets"]["wheel"]["force-include"]:
        assert (root / source).is_file()


def test_lab_headless_writes_the_executed_notebook_and_a_page(tmp_path):
    cells = ["import mattertune_nb as mt\nprint(len(mt.demo_config().model.properties) * 21)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    path = tmp_path / "01_quickstart.ipynb"
    nbformat.write(notebook, path)
    shell("lab", "--headless", cwd=tmp_path)
    (cell,) = nbformat.read(path, as_version=4).cells
    assert cell.outputs[0].text == "42\n"
    assert "42" in (tmp_path / "01_quickstart.html").read_text()


def test_lab_opens_jupyterlab_on_the_quickstart(tmp_path):
    options = ["--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token="]
    process = subprocess.Popen(
        [*COMMAND, "lab", *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        assert any("/lab/tree/01_quickstart.ipynb" in line for line in process.stderr)
    finally:
        process.kill()
    assert (tmp_path / "01_quickstart.ipynb").is_file()
