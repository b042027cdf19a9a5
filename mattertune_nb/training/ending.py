"""How a run ends: what its status says about it, and what the user is told."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, TypeVar

from lightning.pytorch import Callback
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.utilities import rank_zero_only
from torch.multiprocessing.spawn import ProcessRaisedException

from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.model.lightning_private import in_other_processes
from mattertune_nb.training.callbacks.foreign import ForeignRecorder
from mattertune_nb.training.callbacks.walls import WallRecorder
from mattertune_nb.training.outcome.model_card import write_model_card
from mattertune_nb.training.outcome.spread import (
    calibrate,
    calibration_in_words,
    write_calibration,
)
from mattertune_nb.training.outcome.verdict import verdict
from mattertune_nb.training.records.summary import summary_of, write_summary
from mattertune_nb.training.runs.stop import RunStopped

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.records.status import State
    from mattertune_nb.training.run_dir import RunDirectory

C = TypeVar("C", bound=Callback)

log = logging.getLogger(__name__)

RUN_VARIABLE = "MATTERTUNE_NB_RUN"
"""Tells the processes that Lightning starts for a distributed run which directory to join."""


def is_stop(exc: BaseException) -> bool:
    """Return whether a run ends because it was asked to, including by a second Ctrl-C."""
    # Lightning leaves by SystemExit after an interrupt
    cause = exc.__context__ if isinstance(exc, SystemExit) else exc
    if isinstance(cause, ProcessRaisedException):
        return RunStopped.__name__ in str(cause)  # from a process that Lightning forked or spawned
    return isinstance(cause, (RunStopped, KeyboardInterrupt))


def place_of(trainer: Trainer, run: RunDirectory) -> tuple[int, int]:
    """Return the epoch and step at which a fit has ended, in whichever process it ran."""
    if in_other_processes(trainer):
        status = run.status()
        return status.saved_epoch, status.saved_step
    return trainer.current_epoch, trainer.global_step


def own(trainer: Trainer, kind: type[C]) -> C:
    """Return the callback of a kind that every run has."""
    return next(c for c in trainer.callbacks if isinstance(c, kind))  # type: ignore[attr-defined]


def has_stopped_early(trainer: Trainer) -> bool:
    """Return whether early stopping has ended a run."""
    return any(
        c.stopping_reason != EarlyStoppingReason.NOT_STOPPED
        for c in trainer.early_stopping_callbacks
    )


def rank() -> int:
    """Return the rank of this process in a distributed run; known before a Trainer exists."""
    return int(getattr(rank_zero_only, "rank", 0))


def worse_in_words(run: RunDirectory) -> str:
    """Return the message of a run that predicts something worse than before, otherwise an empty text."""
    if rank() != 0:
        return ""
    judged = verdict(summary_of(run))
    return str(judged) if judged.worse else ""


def look_back(trainer: Trainer, model: FinetuneModuleBase) -> None:
    """Let the callbacks that compare a run's best weights with the initial ones do so."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, (ForeignRecorder, WallRecorder)):
            callback.measure_best(model)


def calibrate_copies(
    model: FinetuneModuleBase, run: RunDirectory, validation: AtomsDataset | None
) -> None:
    """Find by what the spreads of copies of the last block are multiplied, where a run has trained some."""
    if model.backbone.members is None or not validation or not run.best.is_file():
        return
    found = calibrate(model, validation)
    model.factors |= {name: part.factor for name, part in found.items()}
    write_calibration(run.path, found)
    log.info("%s", calibration_in_words(run.path))


def with_best_weights(module: FinetuneModuleBase, run: RunDirectory) -> FinetuneModuleBase:
    """Return a model with the best weights of its run, if there are any."""
    module.merge_lora()
    if run.best.is_file():
        contents = read_checkpoint(run.best)
        module.load_state_dict(contents["state_dict"])
        module.baseline = dict(contents.get("baseline", module.baseline))
    return module.eval()


@rank_zero_only
def write_end(
    run: RunDirectory,
    state: State,
    epoch: int | None = None,
    step: int | None = None,
    error: str | None = None,
    note: str = "",
) -> None:
    """Write how a run ended, once for all its processes."""
    os.environ.pop(RUN_VARIABLE, None)
    try:
        run.end(state, epoch, step, error, note)
        if run.is_of_this_process():
            write_summary(run)
            if run.best.is_file() and state in ("finished", "stopped"):
                write_model_card(run)
    except OSError as exc:  # a full disk; readers will notice that the process is gone
        log.warning("Could not write that the run is %s (%s).", state, exc)
