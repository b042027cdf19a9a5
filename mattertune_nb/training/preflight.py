"""Checks before anything is read or written: the same for tune, start, form and estimate.

Settings, and data at a glance, need no torch and are checked in the form's own process; what only torch and
Lightning know is checked by :func:`check_machine` and :func:`check_weights`, for which the form uses a
separate process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.frame_checks import look_at_dataset
from mattertune_nb.data.isolated import without_isolated_atoms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightning.pytorch.callbacks import Callback

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.training.config import MatterTunerConfig


def check_settings(config: MatterTunerConfig, *, logs_own: bool = False) -> None:
    """Refuse inconsistent settings, and missing packages.

    Parameters
    ----------
    config
        Settings of the run.
    logs_own
        Whether a callback or module that is not in the config may log the monitored metric.

    Raises
    ------
    MatterTuneError
        Names the field and what to do.
    """
    config.model.require_installed()
    for logger in config.trainer.loggers:
        logger.require_installed()
    if config.run.module_class is None and not logs_own:
        config.check_monitors()
    config.check_length()


def check_machine(
    config: MatterTunerConfig,
    callbacks: Sequence[Callback] = (),
    *,
    in_notebook: bool | None = None,
) -> None:
    """Refuse what this machine cannot run, and what Lightning would refuse.

    Parameters
    ----------
    config
        Settings of the run; its data are ignored.
    callbacks
        Additional callbacks from the user.
    in_notebook
        Whether training would run in a notebook's kernel; detected by default.

    Raises
    ------
    MatterTuneError
        Names the field and what to do.
    """
    from mattertune_nb.training.hardware import check_hardware
    from mattertune_nb.training.trainer import check_trainer

    check_hardware(config.trainer, in_notebook=in_notebook)
    check_trainer(config, callbacks)


def check_weights(config: MatterTunerConfig) -> None:
    """Refuse weights of another backbone, if only another process, which builds the model, would notice them.

    Parameters
    ----------
    config
        Settings of the run.

    Raises
    ------
    ConfigError
        Says what the checkpoint is.
    """
    from mattertune_nb.model.starting import start_of

    start_of(config.model)


def look_at_data(config: MatterTunerConfig, datasets: Mapping[str, AtomsDataset]) -> None:
    """Refuse data if a few dozen sample frames are wrong, in a time that does not grow with their number.

    Parameters
    ----------
    config
        Settings of the run.
    datasets
        Data sets by name; the training set is called ``train``, or ``dataset`` before the split.

    Raises
    ------
    DataError
        Names the file, the frame and the label.
    """
    kept, _ = without_isolated_atoms(datasets)
    for name, dataset in kept.items():
        is_held_out = name not in ("dataset", "train")
        look_at_dataset(dataset, config.model.labels, is_held_out=is_held_out)
