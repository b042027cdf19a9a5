"""Loss terms that keep a model close to its original state, in addition to those of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.model.module import FinetuneModuleBase


class Penalty(Protocol):
    """A term that a callback adds to ``module.penalties``, a mapping by name, for the duration of a fit."""

    def losses(
        self, module: FinetuneModuleBase, n_structures: int
    ) -> dict[str, tuple[Tensor, float]]:
        """Return losses by name, recorded as ``train/NAME_loss``, with the weight of each in the total.

        Parameters
        ----------
        module
            The model, in training.
        n_structures
            Number of structures in the current training batch.
        """
