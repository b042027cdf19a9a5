"""Messages of a run go into its log, and not onto the console."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING

from mattertune_nb.config.escaped import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_OF_NO_USE = (
    "💡 Tip:",  # advertisements for services
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "LOCAL_RANK:",
    "Loading `train_dataloader` to estimate",
    "Restoring states from the checkpoint",
    "Restored all states from the checkpoint",
    "Restored optimizer states from the checkpoint",
    "`weights_only` was not set",
    "Using 16bit Automatic Mixed Precision",
    "Using bfloat16 Automatic Mixed Precision",
    "`Trainer.fit` stopped:",
)
"""How messages of Lightning begin that tell nothing, or what the log says in other words."""


class _LogFile(logging.FileHandler):
    """A log that does not print tracebacks to the console when the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """Leave the record out."""

    def close(self) -> None:
        """Close the file with whatever could be written."""
        with contextlib.suppress(OSError):
            super().close()


class _Plain(logging.Formatter):
    """Escapes terminal control codes, because a log may contain any file's name and contents."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return printable(super().format(record), keep="\n\t")


@contextlib.contextmanager
def logging_to(path: Path, *, is_first: bool) -> Iterator[None]:
    """Send messages of Lightning and this package to the run's log, from the first process only."""
    handler: logging.Handler = logging.NullHandler()
    if is_first:
        handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(_Plain("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(lambda record: not record.getMessage().startswith(_OF_NO_USE))
    loggers = [
        logging.getLogger(name) for name in ("mattertune_nb", "lightning.pytorch", "py.warnings")
    ]
    before = [(logger.level, logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
            logger.handlers = handlers
            logger.setLevel(level)
            logger.propagate = propagate
        handler.close()


def quiet_lightning() -> None:
    """Suppress advice from Lightning that does not apply here."""
    for message in (
        ".*does not have many workers.*",  # graphs are built once and kept
        ".*smaller than the logging interval.*",
        ".*exists and is not empty.*",  # the run's own checkpoint directory
        ".*in eval mode at the start of training.*",
        ".*LeafSpec.*",
        ".*you have turned on `Trainer.*",
        ".*could not find the monitored key.*",  # a run without a validation says so at its end
        "Grad strides do not match bucket view strides",  # CHGNet's, harmless
    ):
        warnings.filterwarnings("ignore", message=message)
