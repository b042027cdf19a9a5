"""Lightning's average of weights, for runs in which averaging begins late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import EMAWeightAveraging
from typing_extensions import override

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class LateEMA(EMAWeightAveraging):
    """An exponential moving average that is the model itself until averaging begins.

    Lightning's is until then the model as it was before the fit: that would be validated and saved, without
    the reference energies that are fitted at the beginning. Buffers are those of the model in training, as an
    average of integers, such as a backbone's table of elements, would mix them up.

    Parameters
    ----------
    decay
        Share of the old average that is kept at each optimizer step.
    start_step
        Optimizer step at which averaging begins.
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
        if self._average_model is not None and not int(self._average_model.n_averaged):
            self._average_model.module.load_state_dict(pl_module.state_dict())
