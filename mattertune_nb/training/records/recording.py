"""The record of metrics, written as a Lightning logger so that it includes a user's own metrics."""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from mattertune_nb.model.lightning_private import about_to_be_logged
from mattertune_nb.training.records.metrics import made_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import Trainer

    from mattertune_nb.training.run_dir import RunDirectory


log = logging.getLogger(__name__)

_RECENT = 16
"""Number of records stored in a checkpoint; earlier ones are already flushed to disk."""


class RunLogger(Logger):
    """Appends everything logged to the run's ``metrics.jsonl``, one complete line at a time."""

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run
        self.recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        """The last records."""
        self.epoch = 0
        """The current epoch, for values logged without one, such as the learning rate."""

    @property
    @override
    def name(self) -> str:
        return self._run.path.name

    @property
    @override
    def version(self) -> str:
        return ""

    @property
    @override
    def save_dir(self) -> str:
        return str(self._run.path)

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        record = self.record(metrics, step)
        self.recent.append(record)
        try:
            self._run.append(record)
        except OSError as exc:
            log.warning("Could not record the metrics of step %d (%s).", record["step"], exc)

    def record(self, metrics: Mapping[str, float], step: int | None) -> dict[str, Any]:
        """Return the record of metrics."""
        values = {k: float(v) for k, v in metrics.items()}
        epoch = int(values.pop("epoch", self.epoch))
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        return made_record("metrics", epoch, step or 0, finite)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's config.yaml contains all settings."""


def unwritten(trainer: Trainer) -> list[dict[str, Any]]:
    """Return what Lightning is about to record for the optimizer step or epoch that just ended."""
    due = about_to_be_logged(trainer)
    if due is None:
        return []
    loggers = [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]
    return [logger.record(*due) for logger in loggers]
