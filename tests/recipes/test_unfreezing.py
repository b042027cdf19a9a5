"""Gradual unfreezing: blocks are trained one after the other, from the last to the first."""

from __future__ import annotations

import pytest
from ase.io import read
from lightning.pytorch import Callback, Trainer
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.model.depth import depths


class Moved(Callback):
    """Notes the depths at which something has changed in each epoch."""

    def __init__(self) -> None:
        self.depths: list[set[int]] = []

    def on_train_epoch_start(self, trainer, pl_module):
        self._before = {n: p.detach().clone() for n, p in pl_module.backbone.named_parameters()}

    def on_train_epoch_end(self, trainer, pl_module):
        found = depths(pl_module.backbone, "")
        now = pl_module.backbone.named_parameters()
        self.depths.append({found[n] for n, p in now if (p != self._before[n]).any()})


@pytest.mark.parametrize("epochs", [1, 2])
def test_blocks_are_set_free_from_the_last_to_the_first(epochs):
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    loader = model.create_dataloader(
        read(mt.demo_data("train"), ":2"), has_labels=True, batch_size=2
    )
    moved = Moved()
    trainer = Trainer(
        max_epochs=6,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[mt.GradualUnfreezing(epochs), moved],
    )
    trainer.fit(model, loader)
    free = {1: [{5}, {4, 5}, {3, 4, 5}, {2, 3, 4, 5}, set(range(6)), set(range(6))]}
    free[2] = [{5}, {5}, {4, 5}, {4, 5}, {3, 4, 5}, {3, 4, 5}]
    assert moved.depths == free[epochs]


def test_where_no_blocks_are_told_patterns_are_asked_for(morse_config):
    with pytest.raises(mt.ConfigError, match="unfreezing: Morse does not tell"):
        mt.MatterTuner(morse_config(unfreezing=mt.UnfreezingConfig(epochs=2))).tune()
    assert isinstance(morse_config().model, MorseBackboneConfig)
