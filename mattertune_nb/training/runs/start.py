"""The start of a run in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.training.preflight import (
    check_machine,
    check_settings,
    check_weights,
    look_at_data,
)
from mattertune_nb.training.run_dir import RunDirectory
from mattertune_nb.training.runs.run import Run

if TYPE_CHECKING:
    from mattertune_nb.training.config import MatterTunerConfig


def start_run(config: MatterTunerConfig, *, is_machine_checked: bool = False) -> Run:
    """Make a run directory and train in a process of its own; what ``MatterTuner.start`` does.

    The run's process reads all of the data before it trains; here a few dozen structures of each
    set are looked at, so that this returns at once however many there are.

    Parameters
    ----------
    config
        Settings of the run.
    is_machine_checked
        Whether what :mod:`~mattertune_nb.training.preflight` asks with torch was asked.

    Raises
    ------
    MatterTuneError
        Before anything is written, where config, data or this machine do not allow the run.
    """
    check_start(config, is_machine_checked=is_machine_checked)
    directory, _ = RunDirectory.create(config)
    return Run(directory.path).start()


def check_start(config: MatterTunerConfig, *, is_machine_checked: bool = False) -> None:
    """Raise what speaks against a run, as far as that is known at once; see :func:`start_run`."""
    if not is_machine_checked:
        check_machine(config, in_notebook=False)
        check_weights(config)
    check_settings(config)
    # what is wrong with most of the data is said now, and not in the other process's log
    look_at_data(config, config.data.sources())
