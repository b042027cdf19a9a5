"""Before, during and after a fit: whether two atoms at short distance repel each other."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.model.loader import graph_dataset
from mattertune_nb.physics.foreign import target_frames
from mattertune_nb.physics.holes import Hole, Wall, from_plain, holes, to_plain
from mattertune_nb.physics.walls import walls
from mattertune_nb.recipes.budget import Budget, budget_of

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase

log = logging.getLogger(__name__)


class WallMonitor(Callback):
    """Compares pair energies of a fit with those before, for all elements of the target.

    They are computed at validations as often as `share` allows, and at the end. Usable under any Trainer;
    new holes at the end are reported by a warning in the log.

    Parameters
    ----------
    share
        Fraction of the training time that it may take, from 0 to 1; or a :class:`Budget` shared with others.

    Attributes
    ----------
    untuned
        Pair energies before the fit, ``None`` if unknown.
    tuned
        The latest ones.
    """

    def __init__(self, share: float | Budget = 0.03) -> None:
        self._budget, self._expected = budget_of(share), 0.0
        self.untuned: list[Wall] | None = None
        self.tuned: list[Wall] | None = None

    @property
    @override
    def state_key(self) -> str:
        return "mattertune_nb.walls"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {} if self.untuned is None else {"untuned": to_plain(self.untuned)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "untuned" in state_dict:
            self.untuned = from_plain(state_dict["untuned"])

    @property
    def holes(self) -> list[Hole]:
        """Holes, where pairs attract although they should repel, as far as known."""
        return [] if self.untuned is None else holes(self.untuned, self.tuned)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.untuned is None and not trainer.ckpt_path:
            self._begin(trainer, cast("FinetuneModuleBase", pl_module))
        self._budget.begin()

    def _begin(self, trainer: Trainer, module: FinetuneModuleBase) -> None:
        begun = time.monotonic()
        try:
            frames = target_frames(graph_dataset(trainer.train_dataloader).frames)
            elements = {symbol for atoms in frames for symbol in set(atoms.symbols)}
            with trainer.precision_plugin.forward_context():
                self.untuned = walls(module, elements)
        except MatterTuneError as exc:
            log.warning("Short-range repulsion could not be checked (%s)", exc)
        self._expected = time.monotonic() - begun

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.untuned is None or not self._budget.allows(trainer, "walls", self._expected):
            return
        with trainer.precision_plugin.forward_context():
            self.measure(cast("FinetuneModuleBase", pl_module))
        self.on_measured(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.compare(cast("FinetuneModuleBase", pl_module))

    def measure(self, model: FinetuneModuleBase) -> None:
        """Compute the pair energies of a model now, if those before the fit are known.

        Parameters
        ----------
        model
            The model of the fit, or one derived from it.
        """
        if self.untuned is not None:
            elements = {symbol for wall in self.untuned for symbol in wall.pair}
            with self._budget.spending("walls"):
                self.tuned = walls(model, elements)

    def on_measured(self, trainer: Trainer) -> None:
        """Handle new pair energies of a fit; a subclass that stores them overrides this.

        Parameters
        ----------
        trainer
            Trainer of the fit.
        """

    def compare(self, model: FinetuneModuleBase) -> None:
        """Compute the pair energies of a model that resulted from the fit, and warn of new holes.

        Parameters
        ----------
        model
            The model with the relevant weights.
        """
        self.measure(model)
        new = [str(hole) for hole in self.holes if hole.is_new]
        if new:
            log.warning(
                "Atoms that come close now pull each other together: %s. Molecular dynamics at high pressure "
                "or temperature may collapse there.",
                ", ".join(new),
            )
