"""The time, memory and disk space of a run, estimated before it starts.

A few real steps are made in a separate process, see :mod:`.trial`; the rest is arithmetic, so a different
number of epochs needs no new trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.unbroken import unbroken
from mattertune_nb.training.amounts import duration, size
from mattertune_nb.training.estimate.process import AskedProcess
from mattertune_nb.training.length import length_of_run

if TYPE_CHECKING:
    from mattertune_nb.training.config import MatterTunerConfig

_LONG = 1800.0  # s; above this, hints say how to shorten it
_A_LOOK = 600.0  # s; a reasonable wait to see whether a run is worth it
_MUCH_VALIDATION = 0.25
# bytes written beside the checkpoints: two records per logged step, one per validation, and the sample of the
# last validation with the log, config and splits
_STEP_RECORDS, _VALIDATION_RECORD, _OTHER_FILES = 300, 500, 70_000
_BEST, _LAST = 1, 2  # checkpoints: the best; the last and the one before


@dataclass(frozen=True)
class Trial:
    """Measurements from a few real steps; times in seconds, sizes in bytes.

    Attributes
    ----------
    device
        Device of the trial, e.g. ``"this CPU"``.
    train_batches, val_batches
        Number of batches of the loaders, on each process.
    train_batch, val_batch
        Time for a batch of mean size.
    start
        Time before the first step: imports, reading, graphs, errors of the untuned model, without those of
        the validation set.
    save
        Time to write a checkpoint.
    checkpoint
        Size of a checkpoint.
    memory, gpu_memory
        Peaks within 1, 2, 4, … epochs, because the largest batch is drawn sooner or later: of all processes
        on this machine together, and of a GPU.
    """

    device: str
    train_batches: int
    val_batches: int
    train_batch: float
    val_batch: float
    start: float
    save: float
    checkpoint: int
    memory: tuple[int, ...]
    gpu_memory: tuple[int, ...]

    def peaks(self, n_epochs: float) -> tuple[int, int]:
        """Return the peak memory, and that of the GPU, within a number of epochs."""
        last = len(self.memory) - 1
        i = math.ceil(math.log2(min(max(n_epochs, 1), 2**last)))
        return self.memory[i], self.gpu_memory[i]


@dataclass(frozen=True, repr=False)
class Estimate:
    """Time, memory and disk space of a run; times in seconds, sizes in bytes.

    Attributes
    ----------
    seconds
        The whole run; ``None`` if it has no end.
    start_seconds
        Part of it before the first step.
    epoch_seconds, train_seconds, validation_seconds
        An epoch, and the training and validation in it, on average.
    n_epochs, n_steps, n_validations
        Their numbers, possibly with a fraction of a last epoch; ``None`` without an end.
    memory, gpu_memory
        Peaks of the training processes, and of a GPU.
    disk
        The run's directory.
    device
        Device of the run, e.g. ``"this CPU"``.
    may_end_earlier
        Whether early stopping or ``max_time`` may end it.
    hints
        How to shorten the run, if it is long.
    """

    seconds: float | None
    start_seconds: float
    epoch_seconds: float
    train_seconds: float
    validation_seconds: float
    n_epochs: float | None
    n_steps: int | None
    n_validations: int | None
    memory: int
    gpu_memory: int
    disk: int
    device: str
    may_end_earlier: bool
    hints: tuple[str, ...]

    @classmethod
    def from_trial(cls, config: MatterTunerConfig, trial: Trial) -> Self:
        """Compute the cost of a run whose batches are those of the trial.

        Parameters
        ----------
        config
            Settings of the run.
        trial
            Measurements of its first steps on this machine.
        """
        settings = config.trainer
        length = length_of_run(settings, trial.train_batches, trial.val_batches)
        # each epoch ends with `last`; the best weights are written at most once per validation
        train = length.train_batches * trial.train_batch + trial.save
        one_pass = length.val_batches * trial.val_batch
        validation = length.validations_per_epoch * (one_pass + trial.save)
        start = trial.start + one_pass + length.sanity_batches * trial.val_batch
        n_epochs, n_steps, n_validations = length.epochs, length.steps, length.validations
        seconds, most = None, settings.max_seconds
        if n_epochs is not None:
            seconds = start + n_epochs * train + n_validations * (one_pass + trial.save)
        if most is not None and (seconds is None or seconds > most):
            seconds, n_epochs = most, max(most - start, 0.0) / (train + validation)
            n_steps = int(n_epochs * length.train_batches / settings.accumulate_grad_batches)
            n_validations = int(n_epochs * length.validations_per_epoch)
        ends = seconds is not None
        memory, gpu_memory = trial.peaks(math.inf if n_epochs is None else n_epochs)
        return cls(
            seconds=seconds,
            start_seconds=start,
            epoch_seconds=train + validation,
            train_seconds=train,
            validation_seconds=validation,
            n_epochs=n_epochs,
            n_steps=n_steps if ends else None,
            n_validations=n_validations if ends else None,
            memory=memory,
            gpu_memory=gpu_memory,
            disk=_disk(config, trial.checkpoint, n_epochs, train, n_steps, n_validations),
            device=trial.device,
            may_end_earlier=settings.early_stopping is not None or most is not None,
            hints=_hints(config, trial, seconds, train + validation, validation),
        )

    @property
    def validation_share(self) -> float:
        """Fraction of an epoch spent on validation."""
        return self.validation_seconds / self.epoch_seconds

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if self.seconds is None:
            time = f"no end, on {self.device} {duration(self.epoch_seconds)} per epoch"
        else:
            assert self.n_epochs is not None
            n = f"{self.n_epochs:.3g} epoch{'' if self.n_epochs == 1 else 's'}"
            start = ""
            if self.start_seconds > 0.1 * self.seconds:
                start = f", {duration(self.start_seconds)} before the first step"
            time = (
                f"{'at most ' if self.may_end_earlier else ''}about {duration(self.seconds)} on "
                f"{self.device} ({n} × {duration(self.epoch_seconds)}{start})"
            )
        gpu = f", {size(self.gpu_memory)} of the GPU's" if self.gpu_memory else ""
        return (
            f"{time}, {size(self.memory)} of memory{gpu}, {size(self.disk)} on disk; validation "
            f"{100 * self.validation_share:.0f} %"
        )

    def _repr_html_(self) -> str:
        lines = [str(self), *self.hints]
        return "".join(f"<div>{escaped(unbroken(line))}</div>" for line in lines)


def estimate(config: MatterTunerConfig) -> Estimate:
    """Estimate the time, memory and disk space of a run on this machine.

    A separate process makes a trial of a few steps on the config's data, which takes about ten seconds;
    nothing is written or kept.

    Parameters
    ----------
    config
        Settings of the run; its data are read, and nothing is written.

    Raises
    ------
    MatterTuneError
        Config, data or this machine do not allow the run.
    """
    with TrialProcess() as process:
        return Estimate.from_trial(config, process.ask(config))


def trial_settings(config: MatterTunerConfig) -> dict[str, Any]:
    """Return the settings that a trial depends on, as builtins; structures in a list are left out."""
    trainer = {"accelerator", "devices", "strategy", "num_nodes", "precision"}
    no_lists = {name: {"atoms_list"} for name in ("dataset", "train", "validation", "test")}
    return {
        "model": config.model.model_dump(mode="json", exclude={"lr_scheduler", "optimizer"}),
        "optimizer": config.model.optimizer.name,
        "data": config.data.model_dump(mode="json", exclude=no_lists),
        "trainer": config.trainer.model_dump(mode="json", include=trainer),
        "module_class": config.run.module_class,
    }


class TrialProcess(AskedProcess):
    """A process that makes one trial; if started early, it has already imported torch when asked."""

    def __init__(self) -> None:
        super().__init__("trial of a few steps", "mattertune_nb.training.estimate.trial")

    def ask(self, config: MatterTunerConfig) -> Trial:
        """Make the trial of a config.

        Raises
        ------
        MatterTuneError
            Config, data or this machine do not allow it, or it was cancelled.
        """
        answer = self.answer_to(config)
        return Trial(**answer | {k: tuple(answer[k]) for k in ("memory", "gpu_memory")})


def _disk(
    config: MatterTunerConfig,
    checkpoint: int,
    n_epochs: float | None,
    train_seconds: float,
    n_steps: int | None,
    n_validations: int | None,
) -> int:
    own = config.trainer.checkpoint
    n_checkpoints = _BEST + _LAST
    if n_epochs is not None and n_epochs <= 1 and train_seconds < 60 * config.run.save_every:
        n_checkpoints -= 1  # it is saved once
    if own.keeps_more:
        n_checkpoints += (n_validations or 0) if own.save_top_k == -1 else own.save_top_k
        n_checkpoints += own.save_last
    return (
        n_checkpoints * checkpoint
        + (n_steps or 0) // config.trainer.log_every_n_steps * _STEP_RECORDS
        + (n_validations or 0) * _VALIDATION_RECORD
        + _OTHER_FILES
    )


def _hints(
    config: MatterTunerConfig, trial: Trial, seconds: float | None, epoch: float, validation: float
) -> tuple[str, ...]:
    """Return ways to shorten a long run, and by how much if known."""
    if seconds is not None and seconds < _LONG:
        return ()
    hints = []
    a_look = max(int(_A_LOOK / epoch), 1)
    if config.trainer.max_time is None:
        fewer = f"{'1 epoch takes' if a_look == 1 else f'{a_look} epochs take'} {duration(a_look * epoch)}"
        hints.append(
            f"For a first look: {fewer} (max_epochs); the run can be trained longer afterwards."
        )
    if config.trainer.early_stopping is None:
        hints.append("Early stopping would end the run once nothing improves.")
    if validation > _MUCH_VALIDATION * epoch:
        steps, epochs = (
            config.trainer.check_val_every_n_steps,
            config.trainer.check_val_every_n_epoch,
        )
        rarer = f"{5 * epochs} epochs (check_val_every_n_epoch)"
        if steps is not None:
            rarer = f"{5 * steps} steps (check_val_every_n_steps)"
        hints.append(
            f"Validation takes {100 * validation / epoch:.0f} % of the time: validate less often, "
            f"e.g. every {rarer}."
        )
    if trial.device.endswith("CPU"):
        hints.append("A machine with a GPU is many times faster; the same config runs there.")
    return tuple(hints)
