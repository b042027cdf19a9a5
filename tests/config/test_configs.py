"""Configs: strict, with units, and the same again from YAML and from Python."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, strategies as st

import mattertune_nb as mt
from mattertune_nb.config.base import StrictConfig
from mattertune_nb.config.model import ModelConfig

ALL_CONFIGS = [
    getattr(mt, name) for name in mt.__all__ if name.endswith("Config") and name != "BackboneConfig"
]

optimizers = st.one_of(
    st.builds(
        mt.AdamWConfig,
        lr=st.floats(1e-8, 1),
        weight_decay=st.floats(0, 1),
        betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.999)),
        amsgrad=st.booleans(),
    ),
    st.builds(mt.AdamConfig, lr=st.floats(1e-8, 1), eps=st.floats(1e-12, 1e-2)),
    st.builds(mt.SGDConfig, lr=st.floats(1e-8, 1), momentum=st.floats(0, 0.99)),
)
schedules = st.one_of(
    st.none(),
    st.builds(mt.CosineAnnealingLRConfig, warmup=st.floats(0, 50), eta_min=st.floats(0, 1e-3)),
    st.builds(mt.ReduceOnPlateauConfig, factor=st.floats(0.01, 0.99), patience=st.integers(0, 50)),
    st.builds(
        mt.MultiStepLRConfig, milestones=st.lists(st.integers(1, 99), min_size=1).map(sorted)
    ),
    st.just([mt.LinearLRConfig(), mt.CosineAnnealingLRConfig(), mt.ReduceOnPlateauConfig()]),
    st.just([mt.ConstantLRConfig(), mt.ExponentialConfig(gamma=0.5)]),
)
losses = st.one_of(
    st.just(mt.MAELossConfig()),
    st.just(mt.MSELossConfig()),
    st.just(mt.L2MAELossConfig()),
    st.builds(mt.HuberLossConfig, delta=st.floats(1e-6, 10)),
)
properties = st.tuples(
    st.builds(mt.EnergyPropertyConfig, loss=losses, missing=st.sampled_from(["error", "mask"])),
    st.builds(mt.ForcesPropertyConfig, loss=losses, loss_coefficient=st.floats(0, 1e6)),
    st.builds(mt.StressesPropertyConfig, loss=losses),
).map(list)
trainers = st.builds(
    mt.TrainerConfig,
    max_epochs=st.integers(1, 1000) | st.sampled_from([-1, None]),
    devices=st.integers(1, 8) | st.lists(st.integers(0, 7), min_size=1) | st.just("auto"),
    precision=st.sampled_from(["32-true", "64-true", "16-mixed", "bf16-mixed", 32, "64"]),
    val_check_interval=st.none() | st.integers(1, 100) | st.floats(0.01, 1.0),
    early_stopping=st.none() | st.builds(mt.EarlyStoppingConfig, patience=st.integers(0, 99)),
    loggers=st.lists(st.sampled_from(["csv", "tensorboard", "wandb"])),
    max_time=st.none() | st.just("00:11:30:00"),
)


def rebuilt(config: StrictConfig) -> StrictConfig:
    namespace: dict[str, object] = {}
    exec(config.to_python(), namespace)
    result = namespace["config"]
    assert isinstance(result, StrictConfig)
    return result


@given(optimizer=optimizers, schedule=schedules, props=properties)
def test_model_settings_survive_yaml(optimizer, schedule, props):
    config = ModelConfig(optimizer=optimizer, lr_scheduler=schedule, properties=props)
    again = ModelConfig.from_dict(yaml.safe_load(config.to_yaml()))
    assert again == config
    assert again.to_yaml() == config.to_yaml()


@given(trainer=trainers)
def test_trainer_settings_survive_yaml_and_python(trainer):
    assert mt.TrainerConfig.from_dict(yaml.safe_load(trainer.to_yaml())) == trainer
    assert rebuilt(trainer) == trainer


def test_whole_config_survives_a_file_and_its_own_python_code(tmp_path):
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(
            pretrained_model="0.3.0",
            properties=[
                mt.EnergyPropertyConfig(loss=mt.MAELossConfig()),
                mt.ForcesPropertyConfig(loss=mt.MAELossConfig(), conservative=True),
            ],
            optimizer=mt.AdamWConfig(lr=1e-3),
        ),
        data=mt.AutoSplitDataModuleConfig(
            dataset=mt.XYZDatasetConfig(src="a.xyz"), train_split=0.8, batch_size=4
        ),
        trainer=mt.TrainerConfig(max_epochs=10),
    )
    config.to_yaml(tmp_path / "config.yaml")
    assert mt.MatterTunerConfig.from_yaml(tmp_path / "config.yaml") == config
    assert rebuilt(config) == config


def test_an_int_and_a_float_validation_interval_stay_apart():
    every_batch = mt.TrainerConfig(val_check_interval=1)
    every_epoch = mt.TrainerConfig(val_check_interval=1.0)
    for config in (every_batch, every_epoch):
        again = mt.TrainerConfig.from_dict(yaml.safe_load(config.to_yaml()))
        assert type(again.val_check_interval) is type(config.val_check_interval)


@pytest.mark.parametrize("cls", ALL_CONFIGS, ids=lambda cls: cls.__name__)
def test_every_field_says_what_it_is(cls):
    for name, field in cls.model_fields.items():
        assert field.description, f"{cls.__name__}.{name} has no description"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: mt.TrainerConfig(max_epoch=3),
            "max_epoch: unknown setting. Did you mean 'max_epochs'?",
        ),
        (
            lambda: mt.TrainerConfig(max_epochs=0),
            "max_epochs: 0 would train nothing; give 1 or more, or -1 for no limit",
        ),
        (lambda: mt.TrainerConfig(max_steps=0), "max_steps: 0 would train nothing"),
        (lambda: mt.AdamWConfig(lr=-1), "lr: Learning rate must be above 0; got -1"),
        (lambda: mt.TrainerConfig(loggers=["tensorbord"]), "Did you mean 'tensorboard'?"),
        (
            lambda: mt.TrainerConfig(early_stopping={"patence": 3}),
            "early_stopping.patence: unknown setting. Did you mean 'patience'?",
        ),
        (lambda: mt.SGDConfig(nesterov=True), "nesterov: Nesterov momentum needs Momentum above 0"),
        (
            lambda: mt.TrainerConfig(additional_trainer_kwargs={"max_epochs": 3}),
            "additional_trainer_kwargs: 'max_epochs' does not belong here; use the setting Epochs",
        ),
        (
            lambda: ModelConfig(lr_scheduler=[mt.StepLRConfig(), mt.CosineAnnealingLRConfig()]),
            "has no end and can only come last",
        ),
        (
            lambda: mt.TrainerConfig(max_steps=5, min_steps=6),
            "min_steps: Minimum optimizer steps, 6, exceeds Maximum optimizer steps, 5",
        ),
        (
            lambda: mt.MultiStepLRConfig(milestones=[20, 10]),
            "milestones: Milestones must ascend, e.g. [10, 20]; got [20, 10]",
        ),
        (
            lambda: mt.ModelCheckpointConfig(every_n_epochs=1, every_n_train_steps=9),
            "every_n_train_steps: Epochs between saves and Steps between saves cannot be combined",
        ),
        (
            lambda: ModelConfig(properties=[mt.EnergyPropertyConfig(loss_coefficient=0)]),
            "properties: the Weight of every property is 0, so there is nothing to train on",
        ),
        (lambda: mt.RunConfig(name="a/b"), "name: use letters"),
        (
            lambda: ModelConfig(normalizers={"stresses": [mt.RMSNormalizerConfig()]}),
            "normalizers.stresses: 'stresses' is not among the properties",
        ),
    ],
)
def test_a_bad_setting_is_one_line_that_names_the_field(build, message):
    with pytest.raises(mt.ConfigError) as info:
        build()
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_a_refused_assignment_changes_nothing():
    config = mt.SGDConfig(momentum=0.9, nesterov=True)
    with pytest.raises(mt.ConfigError, match="needs Momentum above 0"):
        config.momentum = 0.0
    assert config.momentum == 0.9


def test_a_file_that_is_no_config_is_named(tmp_path):
    path = tmp_path / "config.yaml"
    with pytest.raises(mt.ConfigError, match=r"config\.yaml: cannot read the config"):
        mt.TrainerConfig.from_yaml(path)
    path.write_text("a: [1")
    with pytest.raises(mt.ConfigError, match=r"config\.yaml, line 1: not valid YAML"):
        mt.TrainerConfig.from_yaml(path)
    path.write_text("- 1")
    with pytest.raises(mt.ConfigError, match=r"as in 'name: value'; got \[1\]"):
        mt.TrainerConfig.from_yaml(path)
    path.write_text("# nothing yet")
    with pytest.raises(mt.ConfigError, match="as in 'name: value'; it is empty"):
        mt.TrainerConfig.from_yaml(path)
