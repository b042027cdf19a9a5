"""A model after the round trip through a checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lightning.pytorch import Trainer

from mattertune_nb.model.module import FinetuneModuleBase


def saved_and_loaded(model: FinetuneModuleBase) -> FinetuneModuleBase:
    """Return a model as it is loaded from a checkpoint that Lightning's Trainer wrote."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ckpt"
        trainer.save_checkpoint(path)
        return FinetuneModuleBase.load_from_checkpoint(path)
