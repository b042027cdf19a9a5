"""The doctor applied to a file of structures, or to the data in a run's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.training.config import MatterTunerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from mattertune_nb.doctor.check import Progress
    from mattertune_nb.doctor.finding import Report

PROGRESS = "progress: "
"""Prefix of the progress lines of ``mattertune-nb check``, which tell another program how far it is."""


def check_file(
    file: Path, backbone: str | None, validation: Path | None, progress: Progress
) -> Report:
    """Check data for problems, see :func:`~mattertune_nb.doctor.check.check`.

    Parameters
    ----------
    file
        Structures with labels; or a config as YAML, whose training data are checked together with its
        validation data, with its own backbone unless another is named.
    backbone
        Name of a backbone.
    validation
        Validation structures to compare with; for a config its own by default.
    progress
        Called with the progress.

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
