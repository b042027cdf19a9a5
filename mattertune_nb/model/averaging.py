"""Lightning's weight averaging, for runs in which averaging starts late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import EMAWeightAveraging
from typing_extensions import override

from mattertune_nb.model.lightning_private import average_of

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class LateEMA(EMAWeightAveraging):
    """An exponential moving average that equals the model itself until averaging starts.

    Until then, Lightning's average is the model as it was before the fit; it would be validated and saved
    without the reference energies fitted at the start. Buffers are taken from the model in training, because
    averaging integers, such as a backbone's table of elements, would corrupt them.

    Parameters
    ----------
    decay
        Fraction of the old average kept at each optimizer step.
    start_step
        Optimizer step at which averaging starts.
    """

    def __init__(self, decay: float, start_step: int = 0) -> None:
        super().__init__(decay=decay, use_buffers=False, update_starting_at_step=start_step)

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._follow(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(pl_module)
        super().on_train_end(trainer, pl_module)

    def _follow(self, pl_module: LightningModule) -> None:
        average = average_of(self)
        if average is not None and not int(average.n_averaged):
            average.module.load_state_dict(pl_module.state_dict())
