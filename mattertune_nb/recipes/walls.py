"""Before and after a fit: whether two atoms at short distance repel each other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback
from typing_extensions import override

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.model.loader import graph_dataset
from mattertune_nb.physics.foreign import target_frames
from mattertune_nb.physics.holes import Hole, Wall, from_plain, holes, to_plain
from mattertune_nb.physics.walls import walls

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from mattertune_nb.model.module import FinetuneModuleBase

log = logging.getLogger(__name__)


class WallMonitor(Callback):
    """Compares pair energies after a fit with those before, for all elements of the target.

    Usable under any Trainer; new holes are reported by a warning in the log.

    Attributes
    ----------
    untuned
        Pair energies before the fit, ``None`` if unknown.
    tuned
        Pair energies after it.
    """

    def __init__(self) -> None:
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
        if self.untuned is not None or trainer.ckpt_path:
            return
        module = cast("FinetuneModuleBase", pl_module)
        try:
            frames = target_frames(graph_dataset(trainer.train_dataloader).frames)
            elements = {symbol for atoms in frames for symbol in set(atoms.symbols)}
            with trainer.precision_plugin.forward_context():
                self.untuned = walls(module, elements)
        except MatterTuneError as exc:
            log.warning("Short-range repulsion could not be checked (%s)", exc)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.compare(cast("FinetuneModuleBase", pl_module))

    def compare(self, model: FinetuneModuleBase) -> None:
        """Compute the pair energies of a model that resulted from the fit.

        Parameters
        ----------
        model
            The model with the relevant weights.
        """
        if self.untuned is None:
            return
        pairs = [wall.pair for wall in self.untuned]
        self.tuned = walls(model, {symbol for pair in pairs for symbol in pair})
        new = [str(hole) for hole in self.holes if hole.is_new]
        if new:
            log.warning(
                "Atoms that come close now pull each other together: %s. Molecular dynamics at high pressure "
                "or temperature may collapse there.",
                ", ".join(new),
            )
