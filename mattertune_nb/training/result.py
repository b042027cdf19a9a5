"""What a run has led to."""

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
    """What a run has led to; ``model, trainer = tuner.tune()`` takes it apart.

    Attributes
    ----------
    model
        The tuned model, with the best weights by the monitor.
    trainer
        Lightning's Trainer that made it.
    run
        The run: its record, verdict, dashboard and report.
    """

    run: Run

    def __new__(cls, model: FinetuneModuleBase, trainer: Trainer, run: Run) -> Self:
        """Put the run beside the pair."""
        result = super().__new__(cls, model, trainer)
        result.run = run
        return result
