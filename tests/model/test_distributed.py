"""Two processes on the CPU (gloo) find what one does, in one run directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import mattertune_nb as mt
from mattertune_nb.config.properties import UNREFIT
from mattertune_nb.training.run_dir import RunDirectory

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two_processes(copper, tmp_path_factory):
    """Return the folder of a finished run over two processes."""
    return run_over_two(tmp_path_factory.mktemp("two"), copper)


def run_over_two(folder: Path, copper, *arguments: str) -> Path:
    """Run the script in a folder, and return it."""
    ninth = copper[0].copy()
    ninth.positions[0] += 0.02
    ninth.calc = SinglePointCalculator(ninth, **copper[0].calc.results)
    write(folder / "frames.xyz", [*copper, ninth])
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("distributed_run.py")),
            str(folder),
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.returncode == 0, run.stderr
    return folder


def test_both_processes_share_one_run_directory(two_processes):
    (path,) = (two_processes / "runs").iterdir()
    run = RunDirectory(path)
    assert run.status().state == "finished"
    assert json.loads(run.splits_file.read_text())["validation"] == [4, 5, 6, 7, 8]
    steps = [r["step"] for r in run.metrics() if "val/forces_mae" in r]
    assert steps == sorted(set(steps))
    assert len(steps) == 2


def test_each_process_predicts_all_structures(two_processes):
    first, second = (json.loads((two_processes / f"energies_{i}.json").read_text()) for i in (0, 1))
    assert len(first) == 9
    assert first == pytest.approx(second)


def test_a_trainer_predicts_in_the_order_of_the_data_over_processes(two_processes):
    energies = json.loads((two_processes / "energies_0.json").read_text())
    for rank in (0, 1):
        found = json.loads((two_processes / f"indexed_{rank}.json").read_text())
        assert [index for index, _ in found] == list(range(9))
        assert [energy for _, energy in found] == pytest.approx(energies)


def test_the_checkpoint_opens_in_one_process_and_has_the_same_errors(
    two_processes, plain_trainer, morse_installed
):
    (path,) = (two_processes / "runs").iterdir()
    run = RunDirectory(path)
    model = mt.FinetuneModuleBase.load_from_checkpoint(run.last)
    data = mt.MatterTuneDataModule(mt.MatterTunerConfig.from_yaml(run.config_file).data)
    (one,) = plain_trainer().validate(model, data, verbose=False)
    two = [r for r in run.metrics() if "val/forces_mae" in r][-1]
    assert len(one) >= 9
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=1e-5), name


def test_references_and_baseline_are_those_of_one_process(two_processes, tmp_path, morse_installed):
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        from distributed_run import config
    finally:
        sys.path.pop(0)

    (path,) = (two_processes / "runs").iterdir()
    two = mt.FinetuneModuleBase.load_from_checkpoint(RunDirectory(path).last)
    alone = config(two_processes)
    alone.run.root = tmp_path
    one = mt.MatterTuner(alone).tune().model
    assert two.baseline == pytest.approx(one.baseline, rel=1e-6)
    for name in ("references", "scales", "span"):
        ours, theirs = (getattr(m.normalization, name).numpy() for m in (two, one))
        assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    assert two.normalization.references.any()


def test_references_that_follow_the_weights_are_the_same_in_both_processes(
    copper, tmp_path, morse_installed
):
    folder = run_over_two(tmp_path, copper, "drifts")
    (path,) = (folder / "runs").iterdir()
    run = RunDirectory(path)
    normalization = mt.FinetuneModuleBase.load_from_checkpoint(run.last).normalization
    assert not normalization.references.equal(normalization.first_references)
    first, second = (json.loads((folder / f"energies_{i}.json").read_text()) for i in (0, 1))
    assert first == pytest.approx(second)
    last = [r for r in run.metrics() if "val/energy_per_atom_mae" in r][-1]
    assert last["val/energy_per_atom_mae"] < 0.5 * last[f"val/{UNREFIT}_mae"]
