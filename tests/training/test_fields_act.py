"""Every field of every config changes something: a setting that nothing reads would be a lie."""

from __future__ import annotations

import random
from typing import Any

import ase.db
import numpy as np
import pytest
import torch
from ase.io import read
from toy_backbone import HeadedMorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.schedule_kinds import Schedule
from mattertune_nb.model.losses import compute_loss
from mattertune_nb.model.schedules import create_lr_schedulers
from mattertune_nb.training.callbacks.supervisor import RunSupervisor
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.runs.stop import StopRequest
from mattertune_nb.training.trainer import build_trainer

KINDS = {"name", "type"}  # which tell the classes of a union apart

BATCHES: dict[str, Any] = {
    "train_share": 0.5,
    "batch_size": 3,
    "max_atoms": 12,
    "num_workers": 1,
    "graph_memory_mb": 0.0,
    "graph_disk_mb": 0.0,
    "pin_memory": False,
}

# a value other than the default, for each field
CHANGES: dict[type[StrictConfig], dict[str, Any]] = {
    mt.ModelCheckpointConfig: {
        "monitor": "val/forces_mae",
        "mode": "max",
        "dirpath": "elsewhere",
        "filename": "{epoch}",
        "save_top_k": 3,
        "save_last": True,
        "every_n_epochs": 2,
        "every_n_train_steps": 7,
        "train_time_interval": 2.0,
        "save_weights_only": True,
        "auto_insert_metric_name": True,
    },
    mt.EarlyStoppingConfig: {
        "monitor": "val/forces_mae",
        "patience": 3,
        "min_delta": 0.1,
        "mode": "max",
        "stopping_threshold": 0.1,
        "divergence_threshold": 9.0,
        "check_finite": False,
        "check_on_train_epoch_end": True,
        "verbose": True,
    },
    mt.EMAConfig: {"decay": 0.5, "start_step": 4},
    mt.CSVLoggerConfig: {
        "save_dir": "elsewhere",
        "name": "other",
        "version": 3,
        "prefix": "mine",
        "flush_logs_every_n_steps": 1,
    },
    mt.TensorBoardLoggerConfig: {
        "save_dir": "elsewhere",
        "name": "other",
        "version": 3,
        "prefix": "mine",
    },
    mt.AdamConfig: {
        "lr": 0.1,
        "lr_factors": {"x": 0.5},
        "betas": (0.5, 0.6),
        "eps": 0.1,
        "weight_decay": 0.1,
        "amsgrad": True,
    },
    mt.AdamWConfig: {
        "lr": 0.1,
        "lr_factors": {"x": 0.5},
        "betas": (0.5, 0.6),
        "eps": 0.1,
        "weight_decay": 0.1,
        "amsgrad": True,
    },
    mt.SGDConfig: {
        "lr": 0.1,
        "lr_factors": {"x": 0.5},
        "momentum": 0.9,
        "weight_decay": 0.1,
        "dampening": 0.1,
        "nesterov": True,
    },
    mt.StepLRConfig: {"interval": "step", "step_size": 2, "gamma": 0.9},
    mt.MultiStepLRConfig: {"interval": "step", "milestones": [3], "gamma": 0.9},
    mt.ExponentialConfig: {"interval": "step", "gamma": 0.9},
    mt.CosineAnnealingLRConfig: {"interval": "epoch", "T_max": 5, "eta_min": 0.1, "warmup": 2},
    mt.OneCycleLRConfig: {
        "interval": "epoch",
        "T_max": 5,
        "pct_start": 0.5,
        "div_factor": 3.0,
        "final_div_factor": 3.0,
    },
    mt.CosineAnnealingWarmRestartsConfig: {
        "interval": "step",
        "T_0": 3,
        "T_mult": 2,
        "eta_min": 0.1,
    },
    mt.LinearLRConfig: {
        "interval": "step",
        "start_factor": 0.5,
        "end_factor": 0.5,
        "total_iters": 9,
    },
    mt.ConstantLRConfig: {"interval": "step", "factor": 0.5, "total_iters": 9},
    mt.ReduceOnPlateauConfig: {
        "monitor": "val/forces_mae",
        "mode": "max",
        "factor": 0.1,
        "patience": 1,
        "threshold": 0.9,
        "cooldown": 3,
        "min_lr": 0.9,
    },
    mt.HuberLossConfig: {"delta": 1.0},
    mt.EnergyPropertyConfig: {
        "loss": mt.MSELossConfig(),
        "loss_coefficient": 3.0,
        "missing": "mask",
        "per_atom": False,
    },
    mt.ForcesPropertyConfig: {
        "loss": mt.MSELossConfig(),
        "loss_coefficient": 3.0,
        "missing": "mask",
        "conservative": False,
    },
    mt.StressesPropertyConfig: {
        "loss": mt.MSELossConfig(),
        "loss_coefficient": 3.0,
        "missing": "mask",
        "conservative": False,
    },
    mt.XYZDatasetConfig: {
        "src": "other.xyz",
        "index": ":3",
        "further": ["other.xyz"],
        "format": "xyz",
        "skip_bad_files": True,
        "cache_mb": 0.0,
        "energy_key": "my_energy",
        "forces_key": "my_forces",
        "stress_key": "my_stress",
    },
    mt.DBDatasetConfig: {
        "src": "other.db",
        "selection": "id>2",
        "cache_mb": 0.0,
        "energy_key": "my_energy",
        "forces_key": "my_forces",
        "stress_key": "my_stress",
    },
    mt.AutoSplitDataModuleConfig: {
        "dataset": mt.XYZDatasetConfig(src="other.xyz"),
        "train_split": 4,
        "validation_split": 2,
        "test_split": 1,
        "split": "order",
        "group_key": "other_set",
        "block_length": 3,
        "shuffle_seed": 3,
        **BATCHES,
    },
    mt.ManualSplitDataModuleConfig: {
        "train": mt.XYZDatasetConfig(src="other.xyz", index="6:"),
        "validation": mt.XYZDatasetConfig(src="other.xyz", index=":6"),
        "test": mt.XYZDatasetConfig(src="other.xyz"),
        "shuffle_seed": 3,
        **BATCHES,
    },
}

REQUIRED: dict[type[StrictConfig], dict[str, Any]] = {
    mt.MultiStepLRConfig: {"milestones": [1]},
    mt.XYZDatasetConfig: {"src": "copper.xyz"},
    mt.DBDatasetConfig: {"src": "copper.db"},
    mt.AutoSplitDataModuleConfig: {"dataset": mt.XYZDatasetConfig(src="copper.xyz")},
    mt.ManualSplitDataModuleConfig: {
        "train": mt.XYZDatasetConfig(src="copper.xyz", index=":8"),
        "validation": mt.XYZDatasetConfig(src="copper.xyz", index="8:"),
    },
}

BESIDE: dict[tuple[type[StrictConfig], str], dict[str, Any]] = {
    (mt.SGDConfig, "nesterov"): {"momentum": 0.9},
    (mt.SGDConfig, "dampening"): {"momentum": 0.9},
    (mt.MultiStepLRConfig, "gamma"): {"milestones": [2]},
    (mt.ReduceOnPlateauConfig, "cooldown"): {"patience": 1},
    (mt.XYZDatasetConfig, "skip_bad_files"): {"further": ["none.xyz"]},
    (mt.AutoSplitDataModuleConfig, "group_key"): {"split": "groups", "group_key": "set"},
    (mt.AutoSplitDataModuleConfig, "block_length"): {
        "split": "blocks",
        "dataset": mt.XYZDatasetConfig(src=mt.demo_data("train")),
    },
}
"""What else has to be set for a field to matter."""

TRAINER: dict[str, Any] = {
    "accelerator": "gpu",
    "devices": 3,
    "strategy": "ddp",
    "num_nodes": 2,
    "precision": "64-true",
    "deterministic": True,
    "max_epochs": 7,
    "min_epochs": 2,
    "max_steps": 11,
    "min_steps": 3,
    "gradient_clip_val": 0.5,
    "gradient_clip_algorithm": "value",
    "accumulate_grad_batches": 4,
    "val_check_interval": 0.5,
    "check_val_every_n_epoch": 2,
    "num_sanity_val_steps": 2,
    "log_every_n_steps": 3,
}
"""What is handed to Lightning's Trainer under the same name."""

OWN = {"loss", "loss_coefficient", "missing", "name", "key", "unit"}
OTHERS = {
    # tests/model/test_own_properties.py
    mt.AtomPropertyConfig: OWN,
    mt.GraphPropertyConfig: OWN | {"reduction"},
    mt.VectorPropertyConfig: OWN | {"reduction"},
    mt.TrainerConfig: {
        *TRAINER,
        "max_time",
        "early_stopping",
        "checkpoint",
        "ema",
        "foreign_set",
        "walls",
        "replay",
        "l2_sp",
        "ewc",
        "unfreezing",
        "loggers",
        "check_val_every_n_steps",
        "additional_trainer_kwargs",
    },
    mt.ForeignSetConfig: {"file", "share"},  # tests/recipes/test_foreign_monitor.py
    mt.ReplayConfig: {"file", "share", "weight"},  # tests/recipes/test_replay.py
    mt.L2SPConfig: {"weight"},
    mt.EWCConfig: {"weight", "file"},  # tests/recipes/test_ewc.py
    mt.UnfreezingConfig: {"epochs"},  # tests/recipes/test_unfreezing.py
    mt.LoRAConfig: {"rank", "alpha", "targets"},  # tests/model/test_lora.py
    mt.RunConfig: {"name", "root", "module_class", "save_every", "seed"},
    mt.AtomsListDatasetConfig: {
        "atoms_list",
        "energy_key",
        "forces_key",
        "stress_key",
    },
    # tests/data/test_fetched.py
    mt.MatbenchDatasetConfig: {
        "task",
        "fold_idx",
        "split",
        "train_split_ratio",
        "property_name",
        "data_home",
        "energy_key",
        "forces_key",
        "stress_key",
    },
    mt.MPDatasetConfig: {"query", "fields", "energy_key", "forces_key", "stress_key"},
    mt.PerAtomReferencingNormalizerConfig: {"per_element_references", "refit"},
    mt.LabelUnitsConfig: set(mt.LabelUnitsConfig.model_fields),  # tests/data/test_label_units.py
    mt.MeanStdNormalizerConfig: {"mean", "std"},
    mt.RMSNormalizerConfig: {"rms"},
    mt.ImportedLoggerConfig: {"type", "path", "arguments"},  # tests/config/test_loggers.py
    mt.WandbLoggerConfig: set(mt.WandbLoggerConfig.model_fields),  # the package may be missing
    mt.MatterTunerConfig: {"model", "data", "trainer", "run"},
}
"""Configs whose fields have tests of their own below or in tests/model."""

ELSEWHERE = {
    "final_loss_coefficient",
    "units",
    "unconverged",
    "isolated_atoms",
    "info",
    "last_block_copies",
}
"""Fields that act late in a run, tests/model/test_module.py, on labels, tests/data/test_label_units.py, or on
files of VASP, tests/data/test_vasp.py, on isolated atoms, tests/data/test_isolated.py, on what a backbone
reads of the info, tests/data/test_same_for_all.py, or on the last block, tests/model/test_copies.py."""


@pytest.fixture(autouse=True)
def copper(copper_xyz, tmp_path, monkeypatch):
    """Put the copper where the configs of this file look for it, in two files and two databases."""
    monkeypatch.chdir(tmp_path)
    frames = read(copper_xyz, ":")
    for i, atoms in enumerate(frames):
        atoms.info |= {"my_energy": 1.0, "set": i // 2, "other_set": i % 7}
        atoms.arrays["my_forces"] = np.ones((len(atoms), 3))
        atoms.info["my_stress"] = np.ones(6)
    for part, name in ((frames, "copper"), (frames[::-1], "other")):
        from ase.io import write

        write(f"{name}.xyz", part)
        with ase.db.connect(f"{name}.db") as database:
            for atoms in part:
                database.write(atoms, my_energy=1.0, data=dict(atoms.arrays) | atoms.info)


def test_the_table_names_every_field_of_every_public_config():
    public = [getattr(mt, name) for name in mt.__all__ if name.endswith("Config")]
    for cls in public:
        if issubclass(cls, mt.BackboneConfig):
            continue  # a backbone's own fields have tests beside the backbone
        tested = OTHERS.get(cls, set(CHANGES.get(cls, {}))) | (ELSEWHERE & set(cls.model_fields))
        kinds = KINDS - set(CHANGES.get(cls, {})) - OTHERS.get(cls, set())
        assert tested | (kinds & set(cls.model_fields)) == set(cls.model_fields), cls.__name__


CASES = [(cls, field) for cls, fields in CHANGES.items() for field in fields]


@pytest.mark.parametrize(
    ("cls", "field"), CASES, ids=[f"{cls.__name__}.{field}" for cls, field in CASES]
)
def test_a_field_changes_what_is_made_of_it(cls, field, tmp_path):
    required = REQUIRED.get(cls, {})
    base = BESIDE.get((cls, field), {})
    changed = CHANGES[cls][field]
    before = effect(cls(**required | base))
    assert effect(cls(**required | base | {field: changed})) != before
    assert effect(cls(**required | base)) == before, "the effect is not repeatable"


def effect(config: Any) -> Any:
    """Return what is made of a config, as something that can be compared."""
    if hasattr(config, "create_callback"):
        callback = config.create_callback("checkpoints") if hasattr(config, "dirpath") else None
        return fingerprint(callback or config.create_callback())
    if hasattr(config, "create_logger"):
        logger = config.create_logger()
        return logger.log_dir, logger._prefix, getattr(logger, "_flush_logs_every_n_steps", 0)
    if hasattr(config, "create_optimizer"):
        return descent(config)
    if isinstance(config, Schedule | mt.ReduceOnPlateauConfig):
        return rates(config)
    if isinstance(config, mt.HuberLossConfig):
        return float(compute_loss(config, torch.tensor([3.0]), torch.tensor([1.0]))[0])
    if hasattr(config, "loss_coefficient"):
        return loss(config)
    if hasattr(config, "create_datasets"):
        return {
            stage: (dataset.name, dataset.indices.tolist(), dataset.loader, len(dataset))
            for stage, dataset in config.create_datasets().items()
        }
    try:
        dataset = config.create_dataset()
    except mt.DataError:
        return "refused"
    kept = dataset._frames[0] is dataset._frames[0]
    return dataset.name, len(dataset), repr(dataset.labels(0)), kept


def fingerprint(callback: Any) -> str:
    values = {k: v for k, v in vars(callback).items() if not callable(v)}
    average = getattr(callback, "_kwargs", {}).get("avg_fn") or getattr(callback, "avg_fn", None)
    if hasattr(callback, "should_update"):
        values |= {f"update at {i}": callback.should_update(step_idx=i) for i in range(9)}
    if average is not None:
        values["average"] = average(torch.zeros(1), torch.ones(1), torch.ones(1))
    return repr(sorted((k, repr(v)) for k, v in values.items() if " at 0x" not in repr(v))) + repr(
        [v(torch.zeros(1), torch.ones(1), 3) for v in _averages(callback)]
    )


def _averages(callback: Any) -> list[Any]:
    kwargs = getattr(callback, "_kwargs", {})
    return [
        lambda a, b, n, f=f: (f([a], [b], n), a)[1]
        for name, f in kwargs.items()
        if name == "multi_avg_fn"
    ]


def descent(config: Any) -> list[float]:
    """Return where a few steps down a curve that turns lead."""
    x = torch.nn.Parameter(torch.tensor([1.0, 3.0]))
    optimizer = config.create_optimizer([("x", x)])
    for i in range(6):
        optimizer.zero_grad()
        ((x - 2) ** 2 * (6 - i) ** 3).sum().backward()
        optimizer.step()
    return x.tolist()


def rates(config: Any) -> Any:
    """Return the learning rates of a run of ten intervals, and what they count or watch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    entry = create_lr_schedulers([config], optimizer, n_steps=10, n_epochs=10)[0]
    scheduler = entry["scheduler"]
    seen = []
    for value in (
        3.0,
        2.9,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        2.0,
        1.9,
        1.9,
        1.9,
        1.9,
        1.9,
        1.9,
        *[1.9] * 15,
    ):
        seen.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value) if hasattr(config, "monitor") else scheduler.step()
    return seen, getattr(config, "interval", None), getattr(config, "monitor", None)


def loss(config: Any) -> Any:
    """Return the loss on the copper, and whether a frame without the label is refused."""
    properties = [config]
    module = mt.FinetuneModuleBase(HeadedMorseBackboneConfig(properties=properties, normalizers={}))
    dataset = mt.XYZDatasetConfig(src="copper.xyz", stress_key="my_stress").create_dataset()
    (batch, *_) = module.create_dataloader(dataset, has_labels=True, batch_size=4)
    value = module._compute_loss(
        module(batch)["predicted_properties"], module.batch_to_labels(batch)
    )
    bare = mt.AtomsListDatasetConfig(atoms_list=[dataset[0]]).create_dataset()
    try:
        next(iter(module.create_dataloader(bare, has_labels=True)))
    except mt.DataError:
        return float(value), "refused"
    return float(value), "masked"


@pytest.mark.parametrize("field", TRAINER)
def test_a_field_of_the_trainer_reaches_lightning(field, morse_config, monkeypatch):
    from mattertune_nb.training import trainer as module

    given: dict[str, Any] = {}
    monkeypatch.setattr(module, "Trainer", lambda **kwargs: given.update(kwargs))
    extra = {"gradient_clip_val": 0.5} if field == "gradient_clip_algorithm" else {}
    config = morse_config(**{field: TRAINER[field]} | extra)
    run = RunDirectory("run")
    build_trainer(run, config, StopRequest(run))
    assert given[field] == TRAINER[field]
    assert mt.TrainerConfig.model_fields[field].get_default() != TRAINER[field]


def test_what_the_trainer_config_adds_is_there(morse_config):
    config = morse_config(
        early_stopping={"patience": 3},
        checkpoint={"save_top_k": 2},
        ema={"decay": 0.5},
        loggers=["csv"],
        additional_trainer_kwargs={"limit_train_batches": 3},
        max_time="00:01:00:01",
        run={"save_every": 2.0},
    )
    run = RunDirectory("run")
    trainer = build_trainer(run, config, StopRequest(run))
    names = [type(callback).__name__ for callback in trainer.callbacks]
    assert {"EarlyStopping", "MovableCheckpoint", "LateEMA"} <= set(names)
    assert "CSVLogger" in [type(logger).__name__ for logger in trainer.loggers]
    assert trainer.limit_train_batches == 3
    assert config.trainer.max_seconds == 3601
    (supervisor,) = (c for c in trainer.callbacks if isinstance(c, RunSupervisor))
    assert supervisor._save_seconds == 120


def test_the_run_s_seed_name_and_root_act(morse_config, tmp_path):
    numbers = []

    class Notes(mt.FinetuneModuleBase):
        def on_train_start(self):
            numbers.append((float(torch.rand(1)), float(np.random.rand()), random.random()))  # noqa: NPY002

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = morse_config(name, run={"seed": seed, "root": tmp_path / "here"}, max_epochs=1)
        mt.MatterTuner(config, module_class=Notes).tune()
        assert (tmp_path / "here" / name / "config.yaml").is_file()
    assert numbers[0] == numbers[1]
    assert not set(numbers[0]) & set(numbers[2])


def test_the_run_s_seed_rules_what_is_random_in_a_step(morse_config):
    """All frames are in one batch, so that their order is no reason for other weights."""

    class Drops(mt.FinetuneModuleBase):
        def training_step(self, batch, batch_idx):
            return torch.nn.functional.dropout(super().training_step(batch, batch_idx), 0.5)

    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 5)):
        config = morse_config(name, run={"seed": seed}, data={"batch_size": 9}, max_epochs=6)
        model = mt.MatterTuner(config, module_class=Drops).tune().model
        weights.append([parameter.tolist() for parameter in model.backbone.parameters()])
    assert weights[0] == weights[1] != weights[2]


def test_the_run_s_seed_draws_other_batches_from_the_same_split(morse_config):
    weights, splits = [], []
    for name, seed in (("a", 0), ("b", 0), ("c", 5)):
        result = mt.MatterTuner(morse_config(name, run={"seed": seed}, max_epochs=1)).tune()
        weights.append(result.model.state_dict())
        run = result.run
        splits.append(run.directory.splits_file.read_text())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert any(not torch.equal(value, weights[2][name]) for name, value in weights[0].items())
    assert len(set(splits)) == 1
