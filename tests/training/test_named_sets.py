"""Validation sets with names have errors, curves and a monitor of their own, beside the pooled ones."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest
from lightning.pytorch import Trainer

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.widgets.live.series import CurveData


@pytest.fixture
def named_config(morse_config, copper_xyz, tmp_path):
    """Return a builder of configs with two validation sets, of which one has labels of other names."""
    frames = ase.io.read(copper_xyz, ":")
    others = frames[12:]
    for atoms in others:
        atoms.info["dft"] = atoms.get_potential_energy() + 1.0
        atoms.arrays["pull"] = atoms.get_forces()
        atoms.calc = None
    ase.io.write(tmp_path / "large.xyz", others)
    ase.io.write(tmp_path / "rest.xyz", frames[:12])

    def build(name: str = "named", **trainer) -> mt.MatterTunerConfig:
        config = morse_config(name, **trainer)
        rest = tmp_path / "rest.xyz"
        return config.model_copy(
            update={
                "data": mt.ManualSplitDataModuleConfig(
                    train=mt.XYZDatasetConfig(src=rest, index=":9"),
                    validation={
                        "small": mt.XYZDatasetConfig(src=rest, index="9:"),
                        "large": mt.XYZDatasetConfig(
                            src=tmp_path / "large.xyz", energy_key="dft", forces_key="pull"
                        ),
                    },
                    batch_size=2,
                )
            }
        )

    return build


def mean_error(config: mt.MatterTunerConfig, model, name: str) -> float:
    """Return the error of the forces on one of the sets, one structure at a time by ASE."""
    dataset = config.data.validation[name].create_dataset()
    calculator = model.ase_calculator()
    wrong = [
        calculator.get_forces(dataset[i]) - dataset.labels(i)["forces"] for i in range(len(dataset))
    ]
    return float(np.abs(np.concatenate(wrong)).mean())


def test_each_set_has_its_errors_and_the_pool_is_as_before(named_config):
    config = named_config(checkpoint={"monitor": "val/large/forces_mae"})
    assert mt.MatterTunerConfig.from_yaml_text(config.to_yaml()) == config
    result = mt.MatterTuner(config).tune()
    best = result.run.directory.best_metrics()
    values = {name: best[f"val/{name}/forces_mae"] for name in ("small", "large")}
    for name, value in values.items():
        assert value == pytest.approx(mean_error(config, result.model, name), rel=1e-4)
    sizes = {name: config.data.validation[name].create_dataset().n_atoms().sum() for name in values}
    pooled = sum(sizes[n] * values[n] for n in values) / sum(sizes.values())
    assert best["val/forces_mae"] == pytest.approx(pooled, rel=1e-5)
    assert "baseline/small/energy_per_atom_mae" in result.model.baseline
    # the monitor chose among the validations
    run = result.run.directory
    seen = [r["val/large/forces_mae"] for r in run.metrics() if "val/large/forces_mae" in r]
    assert best["val/large/forces_mae"] == min(seen)
    assert len(seen) == 3


def test_a_curve_of_each_stands_in_the_panel_of_the_pool(named_config):
    run = mt.MatterTuner(named_config(max_epochs=2)).tune().run
    data = CurveData(monitor="val/forces_mae")
    data.add(run.metrics())
    assert set(data.panels["val/forces_mae"].series) == {"validation", "small", "large"}
    assert not any("small" in panel for panel in data.panels)


def test_it_is_resumed_and_a_monitor_that_is_no_set_is_refused(named_config):
    config = named_config(max_epochs=1)
    mt.MatterTuner(config).tune()
    config.trainer.max_epochs = 2
    run = RunDirectory(config.run.root / "named")
    mt.MatterTuner(config).resume(run)
    assert run.status().state == "finished"
    config.trainer.checkpoint.monitor = "val/lerge/forces_mae"
    with pytest.raises(mt.ConfigError, match="Did you mean 'val/large/forces_mae'"):
        mt.MatterTuner(config).resume(run)


def test_a_dict_of_loaders_under_a_plain_trainer(named_config, tmp_path):
    config = named_config()
    model = mt.FinetuneModuleBase(config.model)
    parts = {name: s.create_dataset() for name, s in config.data.validation.items()}
    loaders = {name: model.create_dataloader(part, has_labels=True) for name, part in parts.items()}
    train = model.create_dataloader(config.data.train.create_dataset(), has_labels=True)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, train, loaders)
    logged = {k: float(v) for k, v in trainer.callback_metrics.items()}
    for name in parts:
        expected = mean_error(config, model.eval(), name)
        assert logged[f"val/{name}/forces_mae"] == pytest.approx(expected, rel=1e-4)
    assert logged["val/forces_mae"] > 0
    trainer.test(model, loaders, verbose=False)
    assert "test/small/forces_mae" in trainer.callback_metrics


@pytest.mark.parametrize("name", ["a/b", "", "a b"])
def test_a_name_that_no_metric_can_have_is_refused(name, copper_xyz):
    one = mt.XYZDatasetConfig(src=copper_xyz)
    with pytest.raises(mt.ConfigError, match="validation"):
        mt.ManualSplitDataModuleConfig(train=one, validation={name: one})


def test_checkpoints_hold_no_structures_of_named_sets(named_config, copper_xyz):
    frames = ase.io.read(copper_xyz, ":2")
    config = named_config()
    sets = {"a": mt.AtomsListDatasetConfig(atoms_list=frames)}
    data = mt.ManualSplitDataModuleConfig(train=config.data.train, validation=sets)
    assert "positions" not in json.dumps(dict(data), default=str)
    assert "positions" in data.to_yaml()
    assert isinstance(data.validation["a"], StrictConfig)
