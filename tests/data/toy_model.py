"""The least model that asks the data module for data: one energy for each element."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from mattertune_nb.data.batches.samplers import FrameBatchSampler, frame_loader
from mattertune_nb.data.division.manual_split import ManualSplitDataModuleConfig
from mattertune_nb.data.module import MatterTuneDataModule
from mattertune_nb.data.sources.configs import XYZDatasetConfig


class ToyModel(LightningModule):
    """Fits the energy as a sum over elements; keeps the frames that each step was given."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = torch.nn.Embedding(95, 1, dtype=torch.float64)
        self.seen: dict[str, list[tuple[int, list[int]]]] = {}

    def create_dataloader(self, dataset: Any, has_labels: bool) -> Any:
        settings = dataset.loader
        sampler = FrameBatchSampler(
            len(dataset),
            batch_size=settings.batch_size,
            shuffle=settings.shuffle,
            seed=settings.seed,
            pad=settings.shuffle,
        )

        def sample(i: int) -> tuple[int, torch.Tensor, float]:
            energy = dataset.labels(i)["energy"] if has_labels else float("nan")
            return int(dataset.indices[i]), torch.as_tensor(dataset[i].numbers), energy

        samples = [sample(i) for i in range(len(dataset))]
        return frame_loader(samples, sampler, list, num_workers=settings.num_workers)

    def _step(self, batch: list[Any], stage: str) -> torch.Tensor:
        self.seen.setdefault(stage, []).append((self.current_epoch, [frame for frame, *_ in batch]))
        errors = [self.offsets(numbers).sum() - energy for _, numbers, energy in batch]
        return torch.stack(errors).square().mean()

    def training_step(self, batch: list[Any]) -> torch.Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: list[Any]) -> None:
        self._step(batch, "validation")

    def test_step(self, batch: list[Any]) -> None:
        self._step(batch, "test")

    def predict_step(self, batch: list[Any]) -> list[int]:
        self._step(batch, "predict")
        return [frame for frame, *_ in batch]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def trainer(**kwargs: Any) -> Trainer:
    """Return a plain, quiet Lightning Trainer."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "accelerator": "cpu",
    }
    return Trainer(**{**quiet, **kwargs})


def main(xyz: str, out: str) -> None:
    """Train on 5 frames and evaluate 5 others in two processes; write what each has seen."""
    config = ManualSplitDataModuleConfig(
        train=XYZDatasetConfig(src=xyz, index=":5"),
        validation=XYZDatasetConfig(src=xyz, index="5:"),
        test=XYZDatasetConfig(src=xyz, index="5:"),
        batch_size=2,
    )
    model, data = ToyModel(), MatterTuneDataModule(config)
    ddp = trainer(strategy="ddp", devices=2, max_epochs=2)
    ddp.fit(model, data)
    kind = type(ddp.train_dataloader.sampler).__name__
    ddp.test(model, data, verbose=False)
    ddp.predict(model, data)
    Path(out, f"rank{ddp.global_rank}.txt").write_text(repr((kind, model.seen)))


if __name__ == "__main__":
    main(*sys.argv[1:])
