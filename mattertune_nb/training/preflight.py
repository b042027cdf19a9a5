"""What can be refused before anything is read or written: the same for tune, start, form and estimate.

Settings and data at a glance need no torch and are checked where the form is; what only torch and
Lightning know is asked of :func:`check_machine` and :func:`check_weights`, for which the form has a process
of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.validation import look_at_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightning.pytorch.callbacks import Callback

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.training.config import MatterTunerConfig


def check_settings(config: MatterTunerConfig, *, logs_own: bool = False) -> None:
    """Refuse settings that do not go together, and packages that are not there.

    Parameters
    ----------
    config
        Settings of the run.
    logs_own
        Whether a callback or a module that the config does not name may log what is watched.

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
        Settings of the run; of its data nothing is asked.
    callbacks
        Further callbacks of the user's.
    in_notebook
        Whether training would be in a notebook's kernel; found out where it is not given.

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
    """Refuse weights of another backbone where the model is built in another process, which would say it.

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
    """Refuse data of which a few dozen frames are wrong, in a time that does not grow with them.

    Parameters
    ----------
    config
        Settings of the run.
    datasets
        Each by its name; the one to train on is called ``train``, or ``dataset`` before it is divided.

    Raises
    ------
    DataError
        Names the file, the frame and the label.
    """
    kept, _ = without_isolated_atoms(datasets)
    for name, dataset in kept.items():
        is_held_out = name not in ("dataset", "train")
        look_at_dataset(dataset, config.model.labels, is_held_out=is_held_out)
