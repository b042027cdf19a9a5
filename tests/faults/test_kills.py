"""Killed at any moment, a run goes on from its last checkpoint to the same weights and records."""

from __future__ import annotations

import random
import signal
import sys
from collections import Counter

import pytest
import torch
from killed import PHASES, Moment, train
from stopping import assert_same, weights

from mattertune_nb.training.files import read_lines
from mattertune_nb.training.run_dir import RunDirectory

pytestmark = [pytest.mark.faults, pytest.mark.timeout(0)]


def run_in_another(processes, config_file, is_new: bool, moment: Moment | None = None):
    """Train to the end, or to the moment; return the exit code and what was told of the phases."""
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=train, args=(config_file, is_new, moment, theirs))
    process.start()
    theirs.close()
    try:
        told = ours.recv()
    except EOFError:
        told = None
    process.join()
    return process.exitcode, told


def moments(phase: str, seen, rng: random.Random, n: int):
    """Yield random moments of a phase: by time, and at what is done to files."""
    visits = [(seconds, files) for name, seconds, files in seen if name == phase]
    for i in range(n):
        visit = rng.randrange(len(visits))
        seconds, files = visits[visit]
        if i % 2 and files:
            yield Moment(phase, visit, files=rng.randrange(files))
        else:
            yield Moment(phase, visit, seconds=rng.random() * seconds)


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_killed_in(phase, processes, morse_config, amount, tmp_path, capsys):
    rng = random.Random(f"{amount('seed', 0)}-{phase}")
    settings = {"run": {"save_every": 1e-6}, "val_check_interval": 2, "ema": {"decay": 0.9}}
    never = morse_config("never", **settings)
    never.to_yaml(tmp_path / "never.yaml")
    code, seen = run_in_another(processes, tmp_path / "never.yaml", True)
    assert code == 0
    never = RunDirectory(never.run.root / "never")
    count = Counter()
    for i, moment in enumerate(moments(phase, seen, rng, amount("kills", 4))):
        config = morse_config(f"killed-{i}", **settings)
        config.to_yaml(tmp_path / "killed.yaml")
        run = RunDirectory(config.run.root / f"killed-{i}")
        code, _ = run_in_another(processes, tmp_path / "killed.yaml", True, moment)
        assert code in (-signal.SIGKILL, -signal.SIGALRM), (moment, code)
        count["kills"] += 1
        is_there = run.config_file.exists()
        count["with a directory"] += is_there
        saved = saved_steps(run)
        code, _ = run_in_another(processes, tmp_path / "killed.yaml", not is_there)
        assert code == 0, moment
        count["resumed"] += 1
        if is_there:
            went_on_at = resumed_at(run)
            assert went_on_at in saved, (moment, went_on_at, saved)
            count["went on from the last whole checkpoint"] += went_on_at == max(saved)
        assert_same(run, never)
        for name in ("last", "best"):
            equal = torch.equal(weights(getattr(run, name)), weights(getattr(never, name)))
            count[f"{name} equal to the bit"] += equal
        assert not list(run.path.rglob(".*")), moment
    assert count["went on from the last whole checkpoint"] == count["with a directory"]
    with capsys.disabled():
        sys.stdout.write(f"\n{phase:>10}: " + ", ".join(f"{n} {what}" for what, n in count.items()))


def saved_steps(run: RunDirectory) -> set[int]:
    """Return the steps of which there are whole checkpoints to go on from; 0 where there are none."""
    found = [
        torch.load(p, weights_only=True)["global_step"] for p in run.checkpoints_newest_first()
    ]
    return {0, *found}


def resumed_at(run: RunDirectory) -> int:
    """Return the step at which a run went on; its last where nothing was left to train."""
    records = read_lines(run.metrics_file)[0]
    steps = [int(r["step"]) for r in records if r["kind"] == "resumed"]
    return steps[-1] if steps else run.status().step
