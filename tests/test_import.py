"""Importing the package, or building a config, costs next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import mattertune_nb as mt

PUBLIC = [
    "TrainerConfig",
    "ModelCheckpointConfig",
    "EarlyStoppingConfig",
    "CSVLoggerConfig",
    "TensorBoardLoggerConfig",
    "WandbLoggerConfig",
    "AdamConfig",
    "AdamWConfig",
    "SGDConfig",
    "StepLRConfig",
    "MultiStepLRConfig",
    "ExponentialConfig",
    "ReduceOnPlateauConfig",
    "CosineAnnealingLRConfig",
    "LinearLRConfig",
    "ConstantLRConfig",
    "MAELossConfig",
    "MSELossConfig",
    "HuberLossConfig",
    "L2MAELossConfig",
    "EnergyPropertyConfig",
    "ForcesPropertyConfig",
    "StressesPropertyConfig",
    "XYZDatasetConfig",
    "DBDatasetConfig",
    "AtomsListDatasetConfig",
    "AutoSplitDataModuleConfig",
    "ManualSplitDataModuleConfig",
    "RunConfig",
    "MatterTunerConfig",
    "PerAtomReferencingNormalizerConfig",
    "MeanStdNormalizerConfig",
    "RMSNormalizerConfig",
    "CHGNetBackboneConfig",
    "SevenNetBackboneConfig",
    "FinetuneModuleBase",
    "MatterTuneDataModule",
    "MatterTuner",
    "create_optimizer",
    "Run",
]


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_at_the_root(name):
    assert name in dir(mt)
    assert getattr(mt, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'TrainerConfg'"):
        mt.TrainerConfg  # noqa: B018


def test_the_import_takes_no_torch_and_no_time():
    code = (
        "import time; t = time.perf_counter(); import mattertune_nb, sys;"
        "print(time.perf_counter() - t, 'torch' in sys.modules)"
    )
    results = [run_python(code).split() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in results) < 0.3
    assert all(torch == "False" for _, torch in results)


def test_configs_need_no_torch():
    code = (
        "import mattertune_nb as mt, sys;"
        "mt.MatterTunerConfig(model=mt.CHGNetBackboneConfig(), data=mt.AutoSplitDataModuleConfig("
        "dataset=mt.XYZDatasetConfig(src='a.xyz'))).to_yaml();"
        "print(sorted({'torch', 'lightning', 'chgnet', 'plotly'} & set(sys.modules)))"
    )
    assert run_python(code).strip() == "[]"


def test_help_is_quick():
    def seconds() -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "mattertune_nb.cli", "--help"], check=True, capture_output=True
        )
        after = os.times()
        spent = after.children_user - before.children_user
        return spent + after.children_system - before.children_system

    # of the processor, as other tests run beside this one; the aim is 0.5 s on a quiet machine
    assert min(seconds() for _ in range(3)) < 1
