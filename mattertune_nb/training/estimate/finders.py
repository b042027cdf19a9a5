"""Finders: the learning rate at which a loss falls fastest, and the largest batch that fits into memory.

Both are sought in another process, by :mod:`~mattertune_nb.training.estimate.searches`: nothing here imports
torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

from mattertune_nb.config import errors
from mattertune_nb.config.errors import MatterTuneError, TrainingError
from mattertune_nb.training.estimate.found import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig

Kind = Literal["lr", "batch"]


def find_lr(config: MatterTunerConfig) -> Found:
    """Find a learning rate in a process of its own: that at which the loss falls fastest.

    The rate grows from step to step, as Lightning's ``Tuner.lr_find`` does it; weights are thrown away.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.

    Raises
    ------
    MatterTuneError
        Where config, data or this machine do not allow the run.
    """
    return ask(config, "lr")


def find_batch_size(config: MatterTunerConfig) -> Found:
    """Find the largest batch that fits into memory in a process of its own, from steps on growing ones.

    Parameters
    ----------
    config
        Settings of the run; nothing is written where they point.

    Raises
    ------
    MatterTuneError
        Where config, data or this machine do not allow the run.
    """
    return ask(config, "batch")


def ask(
    config: MatterTunerConfig,
    kind: Kind,
    begun: Callable[[subprocess.Popen[str]], None] = lambda _: None,
) -> Found:
    """Let another process find something.

    Parameters
    ----------
    config
        Settings of the run.
    kind
        What is sought.
    begun
        Called with the process, which may be ended.

    Raises
    ------
    MatterTuneError
        Where config, data or this machine do not allow it, or the process was ended.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "mattertune_nb.training.estimate.searches", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    begun(process)
    try:
        said, _ = process.communicate(json.dumps(config.to_dict()))
        answer: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
    except (OSError, ValueError) as exc:
        msg = "The search was ended before it was done, perhaps for want of memory."
        raise TrainingError(msg) from exc
    if "error" in answer:
        raise getattr(errors, answer["kind"], MatterTuneError)(answer["error"])
    return Found(**answer)
