"""A run over two processes on the CPU, started by a test as a user's script would be."""

from __future__ import annotations

import sys
from pathlib import Path

from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt


def config(folder: Path, **trainer) -> mt.MatterTunerConfig:
    """Return a config with 4 frames to train on and 5, an odd number, to validate on."""
    frames = folder / "frames.xyz"
    return mt.MatterTunerConfig(
        model=MorseBackboneConfig(optimizer=mt.SGDConfig(lr=1e-3)),
        data=mt.ManualSplitDataModuleConfig(
            train=mt.XYZDatasetConfig(src=frames, index=":4"),
            validation=mt.XYZDatasetConfig(src=frames, index="4:9"),
            batch_size=2,
        ),
        trainer=mt.TrainerConfig(max_epochs=2, accelerator="cpu", log_every_n_steps=1, **trainer),
        run=mt.RunConfig(root=folder / "runs"),
    )


if __name__ == "__main__":
    mt.MatterTuner(config(Path(sys.argv[1]), devices=2, strategy="ddp")).tune()
