"""The doctor on a file of structures, or on the data of a run's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.training.config import MatterTunerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.doctor.check import Progress
    from mattertune_nb.doctor.finding import Report

PROGRESS = "progress: "
"""How lines of ``mattertune-nb check`` begin that tell another program what is done, and of how many."""


def check_file(
    file: Path, backbone: str | None, validation: Path | None, progress: Progress
) -> Report:
    """Look for what is wrong with data, see :func:`~mattertune_nb.doctor.check.check`.

    Parameters
    ----------
    file
        Structures with labels; or a config as YAML, whose training data are looked at beside its validation
        data, by its own backbone where no other is named.
    backbone
        Name of a backbone.
    validation
        Structures to compare with; of a config its own where not given.
    progress
        Told what is done.

    Raises
    ------
    MatterTuneError
        The file cannot be read.
    """
    from mattertune_nb.doctor.check import check  # scipy, which the form does not wait for

    if file.suffix not in (".yaml", ".yml"):
        return check(file, backbone, validation=validation, progress=progress)
    config = MatterTunerConfig.from_yaml(file)
    data = config.data.create_datasets()
    return check(
        data["train"],
        backbone or config.model,
        validation=validation or data["validation"],
        progress=progress,
    )
