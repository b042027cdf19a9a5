"""The line under Start that says what a run will take: when it tries, what it keeps, what it shows."""

from __future__ import annotations

import threading
import time

import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import DataError, TrainingError
from mattertune_nb.training.estimate.estimate import Trial
from mattertune_nb.widgets.forms import estimate_line
from mattertune_nb.widgets.forms.estimate_line import EstimateLine

TRIAL = Trial(
    device="this CPU",
    train_batches=10,
    val_batches=4,
    train_batch=0.7,
    val_batch=0.1,
    start=5.6,
    save=0.05,
    checkpoint=5_000_000,
    memory=(800_000_000,),
    gpu_memory=(0,),
)


class Process:
    """Stands in for the process of a trial, which takes seconds: answers once it is let go.

    Attributes
    ----------
    asked
        Batch sizes of the configs that were tried, of all processes.
    go
        Set where trials answer at once.
    cancelled
        How many were ended before their answer.
    error
        What a trial says in place of an answer.
    """

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.cancelled = 0
        self.error: Exception | None = None
        self._ended = threading.Event()

    def __call__(self) -> Process:
        self._ended = threading.Event()
        return self

    def ask(self, config: mt.MatterTunerConfig) -> Trial:
        ended = self._ended
        self.asked.append(config.data.batch_size)
        self.begun.set()
        while not self.go.wait(0.01):
            if ended.is_set():
                msg = "The trial was ended before it was done."
                raise TrainingError(msg)
        if self.error is not None:
            raise self.error
        return TRIAL

    def cancel(self) -> None:
        self.cancelled += 1
        self._ended.set()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()


@pytest.fixture
def process(monkeypatch):
    """Let trials be answered in the test, and waits for a person's typing be short."""
    one = Process()
    monkeypatch.setattr(estimate_line, "TrialProcess", one)
    monkeypatch.setattr(estimate_line, "_HEAD_START", 0.02)
    monkeypatch.setattr(estimate_line, "_IDLE", 0.05)
    return one


@pytest.fixture
def line(process):
    """Return a line, and end what it still tries after the test."""
    one = EstimateLine()
    yield one
    process.go.set()
    one.close()
    assert one.wait(5)


def config(batch_size: int = 4, epochs: int = 100, src=None, **trainer) -> mt.MatterTunerConfig:
    return mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.AutoSplitDataModuleConfig(
            dataset=mt.XYZDatasetConfig(src=src or mt.demo_data("train")), batch_size=batch_size
        ),
        trainer=mt.TrainerConfig(max_epochs=epochs, **trainer),
    )


def said(line: EstimateLine) -> str:
    """Return what it says, with plain spaces before the units."""
    assert line.wait(5)
    return line.widget.value.replace("\u00a0", " ")


def test_it_says_what_the_trial_found_and_is_read_out(line):
    line.ask(config())
    assert "Estimating time and memory …" in line.widget.value
    # 5.6 + 0.4 + 100 · (10 · 0.7 + 0.05 + 4 · 0.1 + 0.05) = 756 s
    assert "About 13 min on this CPU (100 epochs × 7.5 s), 800 MB of memory" in said(line)
    assert 'role="status"' in line.widget.value


def test_a_long_run_says_what_shortens_it(line):
    line.ask(config(epochs=1000))
    assert "For a first look: 80 epochs take 10 min" in said(line)


def test_other_epochs_need_no_other_trial(line, process):
    line.ask(config())
    said(line)
    line.ask(config(epochs=10))
    # at once: 6 + 10 · 7.5 = 81 s
    assert "About 81\u00a0s on this CPU (10 epochs" in line.widget.value
    assert process.asked == [4]


def test_another_batch_size_is_tried_and_the_way_back_is_not(line, process):
    for batch_size in (4, 8, 4):
        line.ask(config(batch_size))
        said(line)
    assert process.asked == [4, 8]


def test_what_is_typed_in_between_is_not_tried(line, process, monkeypatch):
    monkeypatch.setattr(estimate_line, "_IDLE", 0.5)
    for batch_size in (1, 12, 123):
        line.ask(config(batch_size))
        time.sleep(0.1)  # past the head start
    said(line)
    assert process.asked == [123]


def test_an_edit_ends_the_trial_of_what_stood_before(line, process):
    process.go.clear()
    line.ask(config(4))
    assert process.begun.wait(5)
    line.ask(config(8))
    assert process.cancelled == 1
    process.go.set()
    assert "About 13 min" in said(line)
    assert process.asked == [4, 8]


def test_epochs_edited_during_the_trial_are_those_of_its_answer(line, process):
    process.go.clear()
    line.ask(config())
    assert process.begun.wait(5)
    line.ask(config(epochs=10))
    process.go.set()
    assert "(10 epochs × 7.5 s" in said(line)
    assert (process.asked, process.cancelled) == ([4], 0)


def test_a_pause_ends_the_trial_and_empties_the_line(line, process):
    process.go.clear()
    line.ask(config())
    assert process.begun.wait(5)
    line.pause()
    assert said(line) == ""
    assert process.cancelled == 1


def test_nothing_is_tried_or_said_without_the_file(line, process, tmp_path):
    line.ask(config(src=tmp_path / "none.xyz"))
    assert said(line) == ""
    assert process.asked == []


def test_a_file_that_was_written_anew_is_tried_anew(line, process, tmp_path):
    src = tmp_path / "data.xyz"
    src.write_bytes(mt.demo_data("train").read_bytes())
    line.ask(config(src=src))
    said(line)
    src.write_bytes(mt.demo_data("validation").read_bytes())
    line.ask(config(src=src))
    said(line)
    assert process.asked == [4, 4]


def test_why_there_is_no_estimate(line, process):
    process.error = DataError("data.xyz, frame 3: no energy")
    line.ask(config())
    assert "No estimate: data.xyz, frame 3: no energy" in said(line)


def test_a_missing_gpu_is_said_beside_its_field_and_not_here(line, process):
    process.error = TrainingError("trainer.accelerator: cuda needs a GPU")
    line.ask(config())
    assert said(line) == ""


def test_only_the_latest_trials_are_kept(line, process):
    for batch_size in range(1, 10):
        line.ask(config(batch_size))
        said(line)
    line.ask(config(9))
    assert process.asked == list(range(1, 10))
    line.ask(config(1))
    said(line)
    assert process.asked == [*range(1, 10), 1]
