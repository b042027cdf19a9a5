"""The start of a run in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.validation import look_at_dataset
from mattertune_nb.training.hardware import check_hardware
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
        Whether it is known already that this machine allows the run; to ask takes torch.

    Raises
    ------
    MatterTuneError
        Before anything is written, where config, data or this machine do not allow the run.
    """
    if not is_machine_checked:
        check_hardware(config.trainer, in_notebook=False)
    config.model.require_installed()
    if config.model.checkpoint is not None:
        from mattertune_nb.model.starting import start_of  # takes torch

        start_of(config.model)
    for logger in config.trainer.loggers:
        logger.require_installed()
    if config.run.module_class is None:
        config.check_monitors()
    config.check_length()
    # what is wrong with most of the data is said now, and not in the other process's log
    sources, _ = without_isolated_atoms(config.data.sources())
    for name, dataset in sources.items():
        is_held_out = name not in ("dataset", "train")
        look_at_dataset(dataset, config.model.labels, is_held_out=is_held_out)
    directory, _ = RunDirectory.create(config)
    return Run(directory.path).start()
