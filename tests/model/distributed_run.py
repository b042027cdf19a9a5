"""A run over two processes on the CPU, started by a test as a user's script would be.

With a second argument, the zero of energy drifts in each step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ase.io import read
from drifting import Drifts
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
    folder = Path(sys.argv[1])
    callbacks = [Drifts()] if sys.argv[2:] else []
    tuner = mt.MatterTuner(config(folder, devices=2, strategy="ddp"))
    model, trainer = tuner.tune(callbacks)
    predictions = model.property_predictor().predict(read(folder / "frames.xyz", ":"))
    energies = [prediction["energy"] for prediction in predictions]
    (folder / f"energies_{trainer.global_rank}.json").write_text(json.dumps(energies))

    loader = model.create_dataloader(read(folder / "frames.xyz", ":"), False, max_atoms=9)
    results = [result for batch in trainer.predict(model, loader) for result in batch]
    indexed = [(result["index"], result["energy"]) for result in results]
    (folder / f"indexed_{trainer.global_rank}.json").write_text(json.dumps(indexed))
