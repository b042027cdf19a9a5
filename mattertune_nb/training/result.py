"""The result of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.training.runs.run import Run


class _ModelAndTrainer(NamedTuple):
    model: FinetuneModuleBase
    trainer: Trainer


class TuneResult(_ModelAndTrainer):
    """The result of a run; unpack it with ``model, trainer = tuner.tune()``.

    Attributes
    ----------
    model
        The tuned model, with the best weights according to the monitor.
    trainer
        Lightning's Trainer that trained it.
    run
        The run: its record, verdict, dashboard and report.
    interrupted_by
        Number of the signal that stopped the run before its end, that of Ctrl-C for any other request;
        ``None`` if its own settings ended it.
    """

    run: Run
    interrupted_by: int | None

    def __new__(
        cls,
        model: FinetuneModuleBase,
        trainer: Trainer,
        run: Run,
        interrupted_by: int | None = None,
    ) -> Self:
        """Attach the run, and what stopped it, to the pair."""
        result = super().__new__(cls, model, trainer)
        result.run, result.interrupted_by = run, interrupted_by
        return result
