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
    """

    run: Run

    def __new__(cls, model: FinetuneModuleBase, trainer: Trainer, run: Run) -> Self:
        """Attach the run to the pair."""
        result = super().__new__(cls, model, trainer)
        result.run = run
        return result
