"""A callback of tests that carries away a model's zero of energy."""

from __future__ import annotations

from lightning.pytorch import Callback

OFF = 0.7
"""eV per atom, by which weights are moved away from the references."""


class Drifts(Callback):
    """Moves the model's zero of energy at each step, or the first ones, as a high learning rate does."""

    def __init__(self, steps: int = 10**9) -> None:
        self._steps = steps

    def on_train_batch_end(self, trainer, pl_module, *args):
        if trainer.global_step <= self._steps:
            pl_module.normalization.references[1:] += OFF
