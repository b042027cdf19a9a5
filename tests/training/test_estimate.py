"""What is said before Start, beside the run itself and beside arithmetic done by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_backbone import MorseBackbone

import mattertune_nb as mt
from mattertune_nb.training.amounts import duration, size
from mattertune_nb.training.estimate.estimate import Estimate, Trial, TrialProcess
from mattertune_nb.training.estimate.steps import Line
from mattertune_nb.training.estimate.trial import make_trial, n_processes
from mattertune_nb.training.run_dir import RunDirectory

MB = 1_000_000
TRIAL = Trial(
    device="this CPU",
    train_batches=10,
    val_batches=4,
    train_batch=0.7,
    val_batch=0.1,
    start=5.6,
    save=0.05,
    checkpoint=5 * MB,
    memory=(800 * MB, 900 * MB, 1000 * MB),
    gpu_memory=(0, 0, 0),
)


@pytest.fixture
def reckoned(morse_config):
    """Return what is said of a trial by hand under some settings of the trainer."""
    return lambda **trainer: Estimate.from_trial(morse_config(**trainer), TRIAL)


def test_an_epoch_and_the_whole_run_by_hand(reckoned):
    estimate = reckoned(max_epochs=100)
    # ten batches and `last`; four batches of validation and `best`
    assert estimate.train_seconds == pytest.approx(10 * 0.7 + 0.05)
    assert estimate.validation_seconds == pytest.approx(4 * 0.1 + 0.05)
    assert estimate.epoch_seconds == pytest.approx(7.5)
    # the errors of the untuned model are a validation as well
    assert estimate.start_seconds == pytest.approx(5.6 + 0.4)
    assert estimate.seconds == pytest.approx(6 + 100 * 7.5)
    assert (estimate.n_epochs, estimate.n_steps, estimate.n_validations) == (100, 1000, 100)
    assert estimate.disk == pytest.approx(3 * 5 * MB, rel=0.03)


def test_the_sentence(reckoned):
    assert str(reckoned(max_epochs=100)) == (
        "about 13 min on this CPU (100 epochs × 7.5 s), 1 GB of memory, 15 MB on disk; validation 6 %"
    )
    assert "(1 epoch × 7.5 s, 6 s before the first step), 800 MB" in str(reckoned(max_epochs=1))
    assert str(reckoned(early_stopping={})).startswith("at most about ")
    assert str(reckoned(max_epochs=-1, model=None)).startswith(
        "no end, on this CPU 7.5 s per epoch"
    )


@pytest.mark.parametrize(
    ("trainer", "seconds"),
    [
        ({"max_epochs": -1, "max_steps": 25}, 6 + 25 * 0.7 + 2.5 * 0.05 + 2 * 0.45),
        ({"max_epochs": 8, "check_val_every_n_epoch": 4}, 6 + 8 * 7.05 + 2 * 0.45),
        ({"max_epochs": 2, "val_check_interval": 0.5}, 6 + 2 * 7.05 + 4 * 0.45),
        ({"max_epochs": 4, "accumulate_grad_batches": 5}, 6 + 4 * 7.5),
        ({"max_epochs": 1, "num_sanity_val_steps": -1}, 6 + 0.4 + 7.5),
        ({"max_epochs": 100, "max_time": "00:00:02:30"}, 150),
        ({"max_epochs": 3, "max_time": "00:01:00:00"}, 6 + 3 * 7.5),
    ],
)
def test_limits_and_intervals_are_kept(trainer, seconds, reckoned):
    assert reckoned(**trainer).seconds == pytest.approx(seconds)


def test_batches_that_are_accumulated_are_one_step(reckoned):
    # ten batches: 3 + 3 + 3 + 1
    assert reckoned(max_epochs=4, accumulate_grad_batches=3).n_steps == 4 * 4


def test_a_run_that_time_ends_says_how_far_it_comes(reckoned):
    estimate = reckoned(max_epochs=100, max_time="00:00:02:36")
    assert estimate.n_epochs == pytest.approx((156 - 6) / 7.5)
    assert (estimate.n_steps, estimate.n_validations) == (200, 20)
    assert estimate.may_end_earlier


def test_memory_grows_with_the_epochs_in_which_a_large_batch_may_be_drawn(reckoned):
    found = [reckoned(max_epochs=n).memory // MB for n in (1, 2, 3, 4, 5, 1000)]
    assert found == [800, 900, 1000, 1000, 1000, 1000]


def test_a_single_epoch_leaves_one_last_checkpoint_and_a_long_one_two(reckoned):
    assert reckoned(max_epochs=1).disk == pytest.approx(2 * 5 * MB, rel=0.04)
    assert reckoned(max_epochs=2).disk == pytest.approx(3 * 5 * MB, rel=0.04)
    # 7 s of an epoch, and a save every 6 s
    assert reckoned(max_epochs=1, run={"save_every": 0.1}).disk > 3 * 5 * MB


def test_checkpoints_that_a_person_asks_for_are_on_the_disk(reckoned):
    plain, many, all_of_them = (
        reckoned(max_epochs=20, checkpoint=checkpoint).disk
        for checkpoint in ({}, {"save_top_k": 4, "save_last": True}, {"save_top_k": -1})
    )
    assert many - plain == 5 * TRIAL.checkpoint
    assert all_of_them - plain == 20 * TRIAL.checkpoint


def test_a_long_run_says_what_shortens_it(reckoned):
    assert reckoned(max_epochs=100).hints == ()
    hints = " ".join(reckoned(max_epochs=1000, val_check_interval=1).hints)
    assert "51 epochs take 9.8 min" in hints  # 10 · 0.7 + 0.05 + 10 · 0.45 = 11.55 s each
    assert "Validation takes 39 %" in hints
    assert "every 5 epochs" in hints
    assert "GPU" in hints
    assert "Early stopping" not in " ".join(reckoned(max_epochs=1000, early_stopping={}).hints)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0413, "0.04 s"), (8.24, "8.2 s"), (89, "89 s"), (840, "14 min"), (16200, "4.5 h")],
)
def test_times_for_people(seconds, text):
    assert duration(seconds) == text


def test_sizes_for_people():
    assert [size(n) for n in (15_000_000, 1_060_000_000, 12_400_000_000)] == [
        "15 MB",
        "1.1 GB",
        "12 GB",
    ]


def test_a_line_is_found_again():
    line = Line()
    for x in (10, 20, 40, 80):
        line.add(x, 3 + 0.5 * x)
    assert line.at(1000) == pytest.approx(503, rel=1e-6)


def test_a_line_promises_nothing_negative():
    line = Line()
    for x, y in ((10, 1.0), (20, 2.5), (40, 5.5)):
        line.add(x, y)
    assert 0 <= line.at(0) < 0.01


def test_of_several_times_the_least_counts_and_of_memory_the_most():
    times, memory = Line(), Line(max)
    for x, y in ((10, 2.0), (20, 3.5), (20, 3.0), (20, 3.2)):
        times.add(x, y)
        memory.add(x, y)
    assert times.at(40) == pytest.approx(5.0)
    assert memory.at(20) == pytest.approx(3.5)


PEAK = """
import time
import numpy as np
from mattertune_nb.training.estimate.steps import PeakMemory
with PeakMemory() as peak:
    before = peak.bytes
    held = np.ones(100_000_000, dtype=np.uint8)
    time.sleep(0.5)
    del held
print(peak.bytes - before)
"""


def test_the_peak_of_memory_is_seen():
    # in a process that holds nothing else, as a trial is
    printed = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True).stdout
    assert 90 * MB < int(printed) < 140 * MB


def test_a_trial_counts_the_batches_of_the_run(morse_config):
    trial = make_trial(morse_config(data={"train_split": 9, "batch_size": 2}))
    assert (trial.train_batches, trial.val_batches) == (5, 3)
    assert trial.device == "this CPU"


def test_a_trial_writes_nothing_and_moves_no_random_number(morse_config):
    config = morse_config()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    make_trial(config)
    assert not config.run.root.exists()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


class Pairs:
    """A clock of a machine on which nothing takes time but the model: it counts the pairs of atoms."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self) -> float:
        return float(self.seen)


@pytest.fixture
def pairs(monkeypatch, morse_config):
    clock, energy = Pairs(), MorseBackbone.energy

    def counted(self, batch, edge_vectors):
        clock.seen += len(edge_vectors)
        return energy(self, batch, edge_vectors)

    monkeypatch.setattr(MorseBackbone, "energy", counted)
    return clock


def test_the_estimate_is_near_the_run(morse_config, pairs):
    """A clock of seconds would measure what else this machine does.

    What costs a few per cent of a run, and in a set of nine frames far more, is turned off.
    """
    references = mt.PerAtomReferencingNormalizerConfig(refit=False)
    config = morse_config(
        max_epochs=30,
        foreign_set=None,
        walls=False,
        model={"normalizers": {"energy": [references]}},
    )
    estimate = Estimate.from_trial(config, make_trial(config, clock=pairs))
    start = pairs()
    mt.MatterTuner(config).tune()
    assert estimate.seconds == pytest.approx(pairs() - start, rel=0.02)
    run = RunDirectory(config.run.root / "run")
    on_disk = sum(f.stat().st_size for f in run.path.rglob("*") if f.is_file())
    assert estimate.disk == pytest.approx(on_disk, rel=0.6)


def test_several_processes_share_the_batches(morse_config):
    assert n_processes(morse_config(devices=2)) == 2
    trial = make_trial(morse_config(devices=2))
    assert (trial.train_batches, trial.val_batches) == (3, 2)


def test_what_cannot_be_trained_is_said_as_start_does(morse_config, tmp_path):
    config = morse_config()
    config.data.dataset.src = tmp_path / "none.xyz"
    with pytest.raises(mt.DataError, match=r"none\.xyz"):
        make_trial(config)
    with pytest.raises(mt.TrainingError, match="needs a GPU"):
        make_trial(morse_config(accelerator="cuda"))


def ethanol(**trainer) -> mt.MatterTunerConfig:
    return mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.ManualSplitDataModuleConfig(
            train=mt.XYZDatasetConfig(src=mt.demo_data("train"), index=":10"),
            validation=mt.XYZDatasetConfig(src=mt.demo_data("validation"), index=":4"),
            batch_size=2,
        ),
        trainer=mt.TrainerConfig(accelerator="cpu", **trainer),
    )


def test_a_process_of_its_own_makes_the_trial(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    estimate = mt.estimate(ethanol(max_epochs=7))
    assert (estimate.n_epochs, estimate.n_steps, estimate.n_validations) == (7, 35, 7)
    assert 300 * MB < estimate.memory < 2000 * MB
    assert estimate.disk == pytest.approx(15 * MB, rel=0.2)
    missing = ethanol().model_copy(deep=True)
    missing.data.train.src = Path("nowhere.xyz")
    with pytest.raises(mt.DataError, match=r"nowhere\.xyz"):
        mt.estimate(missing)


def test_a_trial_can_be_cancelled():
    with TrialProcess() as process:
        process.cancel()
        with pytest.raises(mt.TrainingError, match="ended before it was done"):
            process.ask(ethanol())


def test_the_command_line_says_it(tmp_path):
    ethanol(max_epochs=2).to_yaml(tmp_path / "config.yaml")
    command = [sys.executable, "-m", "mattertune_nb.cli", "estimate", str(tmp_path / "config.yaml")]
    done = subprocess.run(
        [*command, "--set", "trainer.max_epochs=5"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "(5 epochs × " in done.stdout
    assert not (tmp_path / "runs").exists()
