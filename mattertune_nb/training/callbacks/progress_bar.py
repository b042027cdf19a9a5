"""The progress bar of a run in a shell."""

from __future__ import annotations

from lightning.pytorch.callbacks import RichProgressBar
from typing_extensions import override


class EpochsFromOne(RichProgressBar):
    """Lightning's bar, but counting epochs from 1, like everything else shown to people."""

    @override
    def _get_train_description(self, current_epoch: int) -> str:
        last = self.trainer.max_epochs
        text = f"Epoch {current_epoch + 1}" + (f"/{last}" if last is not None and last > 0 else "")
        # as wide as the other bar, so that neither moves
        return text.ljust(len(self.validation_description))
