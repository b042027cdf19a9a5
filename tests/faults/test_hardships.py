"""Full disks, no rights, a clock that jumps, ten at once: runs go on, or say in a sentence why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from killed import train
from stopping import StopAfter, assert_same
from test_kills import run_in_another

import mattertune_nb as mt
from mattertune_nb.training import pace
from mattertune_nb.training.run_dir import RunDirectory

pytestmark = [pytest.mark.faults, pytest.mark.timeout(0)]

SETTINGS = {"run": {"save_every": 1e-6}}
is_root = os.geteuid() == 0


@pytest.fixture
def unmeasured(monkeypatch):
    """Measure nothing as often as the clock allows, which differs between any two runs."""
    monkeypatch.setattr(pace, "SHARE", 0.0)


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of its own, of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("only root can make a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("left", [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
def test_a_full_disk(left, small_disk, processes, morse_config, tmp_path):
    never = morse_config("never", **SETTINGS)
    never.to_yaml(tmp_path / "never.yaml")
    assert run_in_another(processes, tmp_path / "never.yaml", True)[0] == 0
    config = morse_config("full", **SETTINGS)
    config.run.root = small_disk / "runs"
    config.to_yaml(tmp_path / "full.yaml")
    free = shutil.disk_usage(small_disk).free
    (small_disk / "others").write_bytes(b"x" * max(free - left * 1024, 0))
    code, _ = run_in_another(processes, tmp_path / "full.yaml", True)
    run = RunDirectory(config.run.root / "full")
    if run.config_file.exists():
        assert run.status().state in ("finished", "failed", "crashed", "stopped"), run.status()
        if run.last.exists():
            torch.load(run.last, weights_only=True)  # whole
    else:
        assert code == 1
    (small_disk / "others").unlink()
    is_new = not run.config_file.exists()
    assert run_in_another(processes, tmp_path / "full.yaml", is_new)[0] == 0
    run_of_never = RunDirectory(never.run.root / "never")
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(getattr(r, name), weights_only=True) for r in (run, run_of_never)
        )
        torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=0, atol=0)


@pytest.mark.skipif(
    is_root and shutil.which("setpriv") is None, reason="rights are ignored by root"
)
@pytest.mark.parametrize("what", ["root", "run", "checkpoints"])
def test_rights_taken_away(what, morse_config, open_place, tmp_path):
    config = morse_config("run", **SETTINGS)
    config.run.root = open_place / "runs"
    config.data.dataset.src = shutil.copy(config.data.dataset.src, open_place)
    shutil.copytree(tmp_path / "site", open_place / "site")
    tmp_path = open_place
    config.to_yaml(tmp_path / "config.yaml")
    run = RunDirectory(config.run.root / "run")
    if what == "root":
        config.run.root.mkdir()
    else:
        mt.MatterTuner(config).tune([StopAfter(run, "on_train_batch_end", 4)])
    denied = {"root": config.run.root, "run": run.path, "checkpoints": run.checkpoints}[what]
    give_to_all(tmp_path)
    denied.chmod(0o555)
    words = ["fit", tmp_path / "config.yaml"] if what == "root" else ["resume", "--quiet", run.path]
    done = as_nobody(words, tmp_path)
    said = done.stderr.decode()
    assert "Traceback" not in said, said
    if what == "checkpoints":
        assert done.returncode == 0, said
        assert "Permission denied" in run.log_file.read_text()
    else:
        assert done.returncode == 1
        assert "Permission denied" in said
        assert len(said) < 500
    denied.chmod(0o777)
    give_to_all(tmp_path)
    assert as_nobody(words, tmp_path).returncode == 0
    assert run.status().state == "finished"


@pytest.fixture
def open_place():
    """Return a folder that everybody may reach, which none of pytest's is."""
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    yield place
    give_to_all(place)
    shutil.rmtree(place)


def give_to_all(folder) -> None:
    """Let everybody write a folder."""
    subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)


def as_nobody(words, folder):
    """Call a command as somebody whom rights bind."""
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if is_root else []
    paths = [str(folder / "site"), *filter(None, sys.path)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder), "USER": "nobody"}
    env |= {"XDG_CACHE_HOME": str(folder / "cache"), "MPLCONFIGDIR": str(folder)}
    command = [*prefix, sys.executable, "-m", "mattertune_nb.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, env=env, cwd=folder, check=False)


@pytest.mark.parametrize("jump", [-86400.0, 86400.0, -1e9, 1e9])
def test_the_clock_jumps_within_a_run(jump, unmeasured, morse_config, monkeypatch):
    never = morse_config("never", **SETTINGS)
    mt.MatterTuner(never).tune()
    config = morse_config("jumps", **SETTINGS)
    run = RunDirectory(config.run.root / "jumps")
    clock, calls = time.time, Counter()

    def jumping() -> float:
        calls["time"] += 1
        return clock() + (jump if calls["time"] > 20 else 0.0)

    monkeypatch.setattr(time, "time", jumping)
    mt.MatterTuner(config).tune([StopAfter(run, "on_train_batch_end", 7)])
    assert calls["time"] > 20
    assert run.status().state == "stopped"
    mt.MatterTuner(config).resume(run)
    monkeypatch.undo()
    assert repr(mt.runs(run.path.parent))
    assert_same(run, RunDirectory(never.run.root / "never"))


@pytest.mark.parametrize("named", [True, False], ids=["one name", "one folder"])
def test_ten_at_once(named, processes, morse_config, tmp_path):
    config = morse_config("same", **SETTINGS)
    if not named:
        config.run.name = None
    config.to_yaml(tmp_path / "config.yaml")
    starts = [
        processes.Process(target=train, args=(tmp_path / "config.yaml", True, None))
        for _ in range(10)
    ]
    for process in starts:
        process.start()
    for process in starts:
        process.join()  # none waits for another
    finished = [process.exitcode for process in starts].count(0)
    runs = [RunDirectory(p) for p in config.run.root.iterdir() if p.name[0] != "."]
    assert [run.status().state for run in runs] == ["finished"] * len(runs)
    assert len(runs) == finished == (1 if named else 10)
    assert not list(config.run.root.glob(".*"))


def test_a_run_that_is_resumed_again_and_again(amount, unmeasured, morse_config):
    """Each time it is stopped after one step, or one validation."""
    n = amount("resumes", 5)
    settings = SETTINGS | {"max_epochs": n // 3 + 1}  # a stop in a validation ends an epoch
    never = morse_config("never", **settings)
    mt.MatterTuner(never).tune()
    config = morse_config("again", **settings)
    run = RunDirectory(config.run.root / "again")
    mt.MatterTuner(config).tune([StopAfter(run, "on_train_batch_end", 1)])
    resumes = 0
    while run.status().state == "stopped":
        resumes += 1
        hook = ("on_train_batch_end", "on_validation_batch_end")[resumes % 7 == 0]
        mt.MatterTuner(config).resume(run, [StopAfter(run, hook, 1)])
    assert resumes >= n
    assert_same(run, RunDirectory(never.run.root / "never"))
