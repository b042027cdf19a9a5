"""The time that measurements beside a fit may take, together."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lightning.pytorch.trainer.states import TrainerFn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning.pytorch import Trainer


class Budget:
    """Decides at which validations of a fit is measured: at all that a share of its time allows.

    Parameters
    ----------
    share
        Fraction of the training time that all measurements together may take, from 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._begun = self._spent = 0.0
        self._costs: dict[str, float] = {}
        self._step: int | None = None
        self._allowed = False

    def begin(self) -> None:
        """Count from now on."""
        self._begun, self._spent, self._step = time.monotonic(), 0.0, None

    def allows(self, trainer: Trainer, what: str, expected: float = 0.0) -> bool:
        """Return whether to measure at this validation, at which either all is measured or nothing.

        Parameters
        ----------
        trainer
            Trainer of the fit.
        what
            Name of what is measured.
        expected
            Seconds that its first measurement may take; one that takes long waits until that is affordable.
        """
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return False
        if self._step != trainer.global_step:
            self._step = trainer.global_step
            self._allowed = self._is_affordable(sum(self._costs.values()))
        allowed = self._allowed
        if allowed and what not in self._costs:
            self._costs[what] = expected
            allowed = not expected or self._is_affordable(expected)
        return bool(trainer.strategy.broadcast(allowed))

    def _is_affordable(self, seconds: float) -> bool:
        taken = time.monotonic() - self._begun - self._spent
        return self._spent + seconds <= self._share * taken

    @contextmanager
    def spending(self, what: str) -> Iterator[None]:
        """Count the time that a measurement takes.

        Parameters
        ----------
        what
            Its name.
        """
        begun = time.monotonic()
        yield
        self._costs[what] = time.monotonic() - begun
        self._spent += self._costs[what]


def budget_of(share: float | Budget) -> Budget:
    """Return a budget, shared with others if one is given.

    Parameters
    ----------
    share
        A budget, or its share.
    """
    return share if isinstance(share, Budget) else Budget(share)
