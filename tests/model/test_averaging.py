"""An average of weights, and buffers of integers that cannot be averaged."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

import mattertune_nb as mt


class WithATable(LightningModule):
    """One weight that grows by one each step, and a table of integers and flags beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("table", torch.arange(90))
        self.register_buffer("known", torch.arange(90) % 3 == 0)

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.zeros(40))


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.9375, 0.99, 0.9999])
def test_weights_are_averaged_and_integers_are_kept(decay, tmp_path):
    model = WithATable()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
        callbacks=[mt.EMAConfig(decay=decay).create_callback()],
    )
    trainer.fit(model)
    mean = 1.0
    for value in range(2, 41):
        mean = decay * mean + (1 - decay) * value
    assert float(model.weight) == pytest.approx(mean, rel=1e-5)
    assert torch.equal(model.table, torch.arange(90))
    assert torch.equal(model.known, torch.arange(90) % 3 == 0)
