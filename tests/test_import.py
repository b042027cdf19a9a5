"""Importing the package, or building a config, costs next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
    "MatGLBackboneConfig",
    "ORBBackboneConfig",
    "ORBDirectBackboneConfig",
    "FinetuneModuleBase",
    "MatterTuneDataModule",
    "MatterTuner",
    "create_optimizer",
    "Run",
]


FUNCTIONS = {
    "before_after",
    "check",
    "compare",
    "create_optimizer",
    "demo_config",
    "demo_data",
    "ensemble",
    "estimate",
    "explore",
    "find_batch_size",
    "find_lr",
    "learning_curve",
    "open_dataset",
    "parity",
    "runs",
    "select",
    "view",
}


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_at_the_root(name):
    assert name in dir(mt)
    assert getattr(mt, name).__doc__


def test_an_unknown_name_is_told_the_one_that_is_meant():
    with pytest.raises(AttributeError, match=r"no 'TrainerConfg'\. Did you mean 'TrainerConfig'\?"):
        mt.TrainerConfg  # noqa: B018
    assert not hasattr(mt, "__wrapped__")


def test_the_root_shows_public_names_alone():
    assert all((name[0] != "_" and not name.islower()) or name in FUNCTIONS for name in dir(mt))
    assert dir(mt) == sorted(mt.__all__)


CHECKED = {
    "mt.TrainerConfig(max_epocs=3)": 'Unexpected keyword argument "max_epocs"',
    "mt.Run.attach('runs/a').verdct()": '"Run" has no attribute "verdct"',
    "mt.TrainerConfg()": 'has no attribute "TrainerConfg"',
    "mt.TrainerConfig().create_loggers(3)": 'has incompatible type "int"; expected "Path"',
    "mt.TrainerConfig(max_epochs=3, precision='64-true')": "",
    "mt.MatterTuner(mt.demo_config()).tune().model.ase_calculator()": "",
}


def test_a_type_checker_knows_the_public_names(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("\n".join(["import mattertune_nb as mt", *CHECKED]))
    root = Path(mt.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", root / "pyproject.toml", script],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"MYPYPATH": str(root)},
    )
    found = {
        int(line.split(":")[1]): line for line in result.stdout.splitlines() if ": error" in line
    }
    for number, error in enumerate(CHECKED.values(), 2):
        assert error in found.get(number, ""), result.stdout
        assert bool(error) == (number in found), found


def test_the_import_takes_no_torch_and_no_time():
    code = (
        "import time; t = time.process_time(); import mattertune_nb, sys;"
        "print(time.process_time() - t, 'torch' in sys.modules)"
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
