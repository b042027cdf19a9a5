"""Terms of the loss that keep a model near what it was, beside those of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from mattertune_nb.model.module import FinetuneModuleBase


class Penalty(Protocol):
    """What a callback puts into ``module.penalties``, a mapping by name, for the length of a fit."""

    def losses(
        self, module: FinetuneModuleBase, n_structures: int
    ) -> dict[str, tuple[Tensor, float]]:
        """Return losses by name, recorded as ``train/NAME_loss``, and the weight of each in the total.

        Parameters
        ----------
        module
            The model, in training.
        n_structures
            Structures of the batch beside which they stand.
        """
