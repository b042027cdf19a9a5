"""Bad input: one exception with one message, before training, with nothing half-written."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import mattertune_nb as mt
from mattertune_nb.cli import main


def labelled(atoms: Atoms, **changes) -> Atoms:
    results = {"energy": -1.0, "forces": np.zeros((len(atoms), 3))} | changes
    atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in results.items() if v is not None})
    return atoms


def frames(n: int = 6) -> list[Atoms]:
    ethanol = molecule("CH3CH2OH")
    stretched = [ethanol.copy() for _ in range(n)]
    for i, atoms in enumerate(stretched):
        atoms.positions *= 1 + 0.001 * i
    return [labelled(atoms) for atoms in stretched]


def config_for(tmp_path: Path, atoms: list[Atoms] | None = None, **fields) -> mt.MatterTunerConfig:
    path = tmp_path / "frames.xyz"
    if atoms is not None:
        write(path, atoms, format="extxyz")
    return mt.MatterTunerConfig(
        model=fields.pop("model", mt.CHGNetBackboneConfig()),
        data=fields.pop(
            "data",
            mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=path), train_split=0.5),
        ),
        trainer=mt.TrainerConfig(**{"max_epochs": 1, "accelerator": "cpu"} | fields),
        run=mt.RunConfig(name="run", root=tmp_path / "runs"),
    )


def refuse(config: mt.MatterTunerConfig) -> str:
    """Return the one-line message with which a run is refused, in Python and on the shell."""
    with pytest.raises(mt.MatterTuneError) as info:
        mt.MatterTuner(config).tune()
    message = str(info.value)
    assert "\n" not in message
    assert not (config.run.root / "run").exists(), "something was half-written"

    config.run.root.parent.mkdir(exist_ok=True)
    path = config.run.root.parent / "config.yaml"
    config.to_yaml(path)
    error = io.StringIO()
    with (
        contextlib.redirect_stderr(error),
        mock.patch.object(sys, "argv", ["mattertune-nb", "fit", str(path)]),
        pytest.raises(SystemExit, match="1"),
    ):
        main()
    assert error.getvalue().strip() == f"Error: {message}"
    assert not (config.run.root / "run").exists(), "something was half-written"
    return message


def test_a_missing_file(tmp_path):
    assert str(tmp_path / "frames.xyz") in refuse(config_for(tmp_path))


def test_an_empty_file(tmp_path):
    (tmp_path / "frames.xyz").touch()
    assert "empty" in refuse(config_for(tmp_path))


def test_a_truncated_last_frame(tmp_path):
    config = config_for(tmp_path, frames())
    path = tmp_path / "frames.xyz"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    message = refuse(config)
    assert "frames.xyz" in message
    assert "frame 5" in message


def test_a_frame_without_forces(tmp_path):
    message = refuse(config_for(tmp_path, [*frames(), labelled(molecule("CH3CH2OH"), forces=None)]))
    assert "frame 6" in message
    assert "forces" in message
    assert 'missing="mask"' in message


def test_labels_that_are_not_numbers(tmp_path):
    bad = labelled(molecule("CH3CH2OH"), forces=np.full((9, 3), np.nan))
    message = refuse(config_for(tmp_path, [bad, *frames()]))
    assert "frame 0" in message
    assert "nan" in message


def test_labels_of_the_wrong_shape(tmp_path):
    atoms = frames()
    for frame in atoms:
        frame.info["my_forces"] = [1.0, 2.0, 3.0]
    config = config_for(tmp_path, atoms)
    config.data.dataset.forces_key = "my_forces"
    message = refuse(config)
    assert "(3,)" in message
    assert "(9, 3)" in message
    assert 'missing="mask"' in message


def test_labels_under_an_unexpected_key(tmp_path):
    atoms = frames()
    for frame in atoms:
        frame.calc = None
        frame.info["REF_energy"] = -1.0
        frame.arrays["REF_forces"] = np.zeros((9, 3))
    message = refuse(config_for(tmp_path, atoms))
    assert "REF_energy" in message
    assert "REF_forces" in message
    assert "energy_key='REF_energy'" in message


def test_an_element_that_the_backbone_does_not_know(tmp_path):
    atoms = [labelled(bulk("Cu")) for _ in range(6)]
    atoms[2].numbers[0] = 118
    message = refuse(config_for(tmp_path, atoms))
    assert "frame 2" in message
    assert "'Og'" in message


def test_a_periodic_cell_without_volume(tmp_path):
    atoms = [labelled(bulk("Cu", cubic=True)) for _ in range(6)]
    atoms[1].set_cell([3.6, 3.6, 0.0])
    labelled(atoms[1])
    message = refuse(config_for(tmp_path, atoms))
    assert "frame 1" in message
    assert "volume" in message


def test_a_monitor_that_will_not_exist(tmp_path):
    config = config_for(tmp_path, frames(), checkpoint={"monitor": "val/force_mae"})
    message = refuse(config)
    assert "trainer.checkpoint.monitor" in message
    assert "Did you mean 'val/forces_mae'?" in message
    assert "val/energy_per_atom_mae" in message


def test_a_split_that_leaves_no_validation_frame(tmp_path):
    config = config_for(tmp_path, frames())
    config.data.train_split = 1.0
    message = refuse(config)
    assert "validation" in message
    assert "Lower train_split" in message


def test_a_run_name_in_use(tmp_path):
    config = config_for(tmp_path, frames())
    kept = tmp_path / "runs" / "run" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(mt.RunError, match="'run' is in use") as info:
        mt.MatterTuner(config).tune()
    assert "resume" in str(info.value)
    assert list(kept.parent.iterdir()) == [kept]


def test_hardware_that_is_not_there(tmp_path):
    message = refuse(config_for(tmp_path, frames(), precision="16-mixed"))
    assert "trainer.precision" in message
    assert "bf16-mixed" in message


def test_a_missing_extra(tmp_path, monkeypatch):
    from mattertune_nb.backbones import base

    monkeypatch.setattr(base, "find_spec", lambda name: None)
    config = config_for(tmp_path, frames(), model=mt.SevenNetBackboneConfig())
    with pytest.raises(mt.MissingExtraError) as info:
        mt.MatterTuner(config).tune()
    assert "pip install 'mattertune-nb[sevennet]'" in str(info.value)
    assert not (tmp_path / "runs").exists()


def test_a_missing_logger_is_met_before_anything_is_written(tmp_path, monkeypatch):
    from mattertune_nb.config import loggers

    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(mt.MissingExtraError) as info:
        mt.MatterTuner(config_for(tmp_path, frames(), loggers=["wandb"])).tune()
    assert "pip install 'mattertune-nb[wandb]'" in str(info.value)
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    config = config_for(tmp_path, frames())
    (tmp_path / "file").touch()
    config.run.root = tmp_path / "file" / "runs"
    with pytest.raises(mt.RunError, match=r"Choose another run\.root"):
        mt.MatterTuner(config).tune()


def test_a_loss_that_turns_nan_names_the_frames_and_keeps_the_last_good_checkpoint(tmp_path):
    class Breaks(mt.FinetuneModuleBase):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            return loss * float("nan") if self.trainer.global_step == 4 else loss

    config = config_for(tmp_path, frames(), max_epochs=9)
    config.data.batch_size = 1
    with pytest.raises(mt.TrainingError, match=r"became nan at step 4 .*frames\.xyz, frame \d"):
        mt.MatterTuner(config, module_class=Breaks).tune()
    run = mt.Run.attach(tmp_path / "runs" / "run")
    assert run.status().state == "failed"
    assert "became nan" in run.status().error
    good = mt.FinetuneModuleBase.load_from_checkpoint(run.directory.last)
    assert all(p.isfinite().all() for p in good.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nowhere.yaml"], "nowhere.yaml: cannot read the config"),
        (["estimate", str(mt.demo_data("test"))], "mattertune-nb init"),
        (["resume", "nowhere"], "nowhere: there is no such run. Check the path"),
        (
            ["evaluate", "nowhere.ckpt", str(mt.demo_data("test"))],
            "nowhere.ckpt: no such run or checkpoint",
        ),
        (["init", "--backbone", "chgnett"], "Did you mean 'chgnet'?"),
    ],
)
def test_the_shell_says_it_in_one_line(arguments, message, tmp_path):
    shell = subprocess.run(
        [sys.executable, "-m", "mattertune_nb.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert shell.returncode == 1
    assert message in shell.stderr
    assert len(shell.stderr.strip().splitlines()) == 1


def test_a_path_where_contents_are_wanted_is_told_how_to_read_it(morse_config):
    with pytest.raises(mt.ConfigError, match=r"from_yaml\('config.yaml'\)"):
        mt.MatterTuner("config.yaml")
    predictor = mt.MatterTuner(morse_config(max_epochs=1)).tune().model.property_predictor()
    with pytest.raises(mt.DataError, match=r"a\.xyz"):
        predictor.predict("a.xyz")
    with pytest.raises(mt.ConfigError, match="as in 'name: chgnet'; got \"chgnet\""):
        mt.MatterTunerConfig(model="chgnet", data=mt.demo_config().data)
