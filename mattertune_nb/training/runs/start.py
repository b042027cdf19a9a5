"""Starts a run in a separate process."""

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
    """Create a run directory and train in a separate process, as ``MatterTuner.start`` does.

    The run's process reads all data before training; here only a few dozen structures of each set are
    checked, so that this returns immediately however many there are.

    Parameters
    ----------
    config
        Settings of the run.
    is_machine_checked
        Whether the checks of :mod:`~mattertune_nb.training.preflight` that need torch were made.

    Raises
    ------
    MatterTuneError
        Config, data or this machine do not allow the run; raised before anything is written.
    """
    check_start(config, is_machine_checked=is_machine_checked)
    directory, _ = RunDirectory.create(config)
    return Run(directory.path).start()


def check_start(config: MatterTunerConfig, *, is_machine_checked: bool = False) -> None:
    """Raise any objection to a run that can be found immediately; see :func:`start_run`."""
    if not is_machine_checked:
        check_machine(config, in_notebook=False)
        check_weights(config)
    check_settings(config)
    # problems of most of the data are reported here rather than in the other process's log
    look_at_data(config, config.data.sources())
