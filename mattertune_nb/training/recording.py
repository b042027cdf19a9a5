"""The record of metrics, written as a Lightning logger so that a user's own metrics enter it too."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.training.run_dir import RunDirectory


log = logging.getLogger(__name__)


class RunLogger(Logger):
    """Appends everything that is logged to the run's ``metrics.jsonl``, a whole line at a time."""

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run
        self.epoch = 0
        """The epoch under way, for what is logged without one, such as the learning rate."""

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
        values = {k: float(v) for k, v in metrics.items()}
        epoch = int(values.pop("epoch", self.epoch))
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        try:
            self._run.append_metrics("metrics", epoch, step or 0, finite)
        except OSError as exc:
            log.warning("Could not record the metrics of step %d (%s).", step or 0, exc)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's config.yaml holds all settings."""
