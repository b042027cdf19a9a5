"""Watches how predictions change during tuning for structures that are not in the target."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.model.loader import graph_dataset
from mattertune_nb.physics.foreign import (
    ForeignErrors,
    ForeignSet,
    Predictor,
    made_here,
    of_file,
    target_frames,
)
from mattertune_nb.recipes.budget import Budget, budget_of

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase

log = logging.getLogger(__name__)

OF_FORCES, OF_ENERGY = (f"foreign/{prop.main_metric}" for prop in (FORCES, ENERGY))
"""Metrics under which the errors are recorded, in eV/Å and eV/atom."""


@dataclass(frozen=True)
class Measured:
    """Errors on a foreign set at one moment of a fit.

    Attributes
    ----------
    epoch, step
        Counted from 0, as in records.
    errors
        Errors over all structures.
    by_kind
        Errors over the structures of each kind.
    """

    epoch: int
    step: int
    errors: ForeignErrors
    by_kind: dict[str, ForeignErrors]


class ForeignCallback(Callback):
    """Stores structures away from the target in checkpoints, so that a resumed fit uses the same ones.

    Attributes
    ----------
    key
        Key under which a checkpoint stores them.
    foreign
        The structures; ``None`` before a fit, or if there are none.
    """

    key: ClassVar[str]
    foreign: ForeignSet | None = None

    @property
    @override
    def state_key(self) -> str:
        return f"mattertune_nb.{self.key}"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {} if self.foreign is None else {"foreign": self.foreign.to_plain()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "foreign" in state_dict:
            self.foreign = ForeignSet.from_plain(state_dict["foreign"])


class ForeignMonitor(ForeignCallback):
    """Compares a model with its state at the start of the fit, on structures away from its target.

    Measured at validations as often as `share` allows, and logged as ``foreign/forces_mae`` (eV/Å) and
    ``foreign/energy_per_atom_mae`` (eV/atom, after removing a shift per element). Usable under any Trainer.

    Parameters
    ----------
    file
        Structures to compare, with or without labels; by default they are generated.
    share
        Fraction of the training time that it may take, from 0 to 1; or a :class:`Budget` shared with others.

    Attributes
    ----------
    last
        The latest measurement.
    """

    key = "foreign"

    def __init__(self, file: Path | None = None, share: float | Budget = 0.03) -> None:
        self._file, self._budget = file, budget_of(share)
        self.last: Measured | None = None
        self._predictor: Predictor | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("FinetuneModuleBase", pl_module)
        try:
            if self.foreign is None and not trainer.ckpt_path:
                self._make(trainer, module)
            if self.foreign is not None and len(self.foreign):
                self._predictor = Predictor(self.foreign.frames, module.backbone)
        except MatterTuneError as exc:
            if self._file is not None:
                raise
            log.warning("Changes on other structures are not known (%s)", exc)
        self._budget.begin()

    def _make(self, trainer: Trainer, module: FinetuneModuleBase) -> None:
        if self._file is None:
            frames = target_frames(graph_dataset(trainer.train_dataloader).frames)
            self.foreign = made_here(module, frames)
        else:
            self.foreign = of_file(module, self._file)
        if not len(self.foreign):
            return
        untuned = self.foreign.untuned
        values = {"baseline/" + OF_FORCES: untuned.forces, "baseline/" + OF_ENERGY: untuned.energy}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=0)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._predictor is None or not self._budget.allows(trainer, self.key):
            return
        with trainer.precision_plugin.forward_context():
            found = self.measure(
                cast("FinetuneModuleBase", pl_module), trainer.current_epoch, trainer.global_step
            )
        assert found is not None
        pl_module.log_dict(
            {OF_FORCES: found.errors.forces, OF_ENERGY: found.errors.energy}, sync_dist=False
        )
        self.on_measured(trainer)

    def measure(self, model: FinetuneModuleBase, epoch: int, step: int) -> Measured | None:
        """Measure a model now, and store the result as :attr:`last`; ``None`` if there are no structures.

        Parameters
        ----------
        model
            The model of the fit, or one derived from it.
        epoch, step
            Epoch and step of its weights, counted from 0.
        """
        if self._predictor is None or self.foreign is None:
            return None
        with self._budget.spending(self.key):
            self.last = Measured(epoch, step, *self.foreign.errors(*self._predictor(model)))
        return self.last

    def on_measured(self, trainer: Trainer) -> None:
        """Handle a new :attr:`last`; a subclass that stores it overrides this.

        Parameters
        ----------
        trainer
            Trainer of the fit.
        """
