"""Finders: the learning rate at which a loss falls fastest, and the largest batch that fits into memory.

Both searches run in another process, see :mod:`~mattertune_nb.training.estimate.searches`; nothing here
imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mattertune_nb.training.estimate.found import Found
from mattertune_nb.training.estimate.process import AskedProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig

Kind = Literal["lr", "batch"]
_SOUGHT: dict[Kind, str] = {"lr": "learning rate", "batch": "largest batch"}


def find_lr(config: MatterTunerConfig) -> Found:
    """Find the learning rate at which the loss falls fastest, in a separate process.

    The rate grows from step to step, as in Lightning's ``Tuner.lr_find``; the weights are discarded.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.

    Raises
    ------
    MatterTuneError
        Config, data or this machine do not allow the run.
    """
    return ask(config, "lr")


def find_batch_size(config: MatterTunerConfig) -> Found:
    """Find the largest batch that fits into memory, from steps on growing batches in a separate process.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.

    Raises
    ------
    MatterTuneError
        Config, data or this machine do not allow the run.
    """
    return ask(config, "batch")


def ask(
    config: MatterTunerConfig,
    kind: Kind,
    begun: Callable[[AskedProcess], None] = lambda _: None,
) -> Found:
    """Run a search in another process.

    Parameters
    ----------
    config
        Settings of the run.
    kind
        What to search for.
    begun
        Called with the process, which may be cancelled.

    Raises
    ------
    MatterTuneError
        Config, data or this machine do not allow it, or the process was ended.
    """
    what = f"search for the {_SOUGHT[kind]}"
    with AskedProcess(what, "mattertune_nb.training.estimate.searches", kind) as process:
        begun(process)
        return Found(**process.answer_to(config))
