"""Writing checkpoints completely or not at all, and finding the newest complete one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from typing_extensions import override

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.training.files import write_whole

if TYPE_CHECKING:
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file first; a full disk costs a save but not the run.

    Parameters
    ----------
    run
        Run whose checkpoints are written; if its directory was removed, nothing is written.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        target = Path(path)
        if not self._run.config_file.exists():
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, lambda file: torch.save(checkpoint, file))
        except (OSError, RuntimeError) as exc:
            # torch wraps the disk's error in a RuntimeError
            log.warning("Could not write %s (%s); the older checkpoint is kept.", target, exc)


class Saved(NamedTuple):
    """A checkpoint that was read completely."""

    path: Path
    contents: dict[str, Any]


def newest_whole_checkpoint(run: RunDirectory) -> Saved | None:
    """Return the newest checkpoint that can be read completely, or ``None``."""
    for path in run.checkpoints_newest_first():
        try:
            return Saved(path, read_checkpoint(path))
        except TrainingError as exc:
            log.warning("%s", exc)
    return None
