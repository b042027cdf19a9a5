"""What each recipe gains on a target and loses elsewhere, one run after the other, as one table.

``python tests/benchmarks/recipes.py [--backbones chgnet] [--targets demo] [--recipes full replay …]
[--epochs 8]``; targets other than the demo are read from a folder of DFT data, ``--data``. Each run is a
process of its own on one thread. Forces on validation and elsewhere are mean absolute errors in meV/Å, the
latter against the untuned model; new holes are pairs of the target's elements; time is that of the CPU,
without what is measured afterwards.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import mattertune_nb as mt
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.model.depth import depths
from mattertune_nb.physics.foreign import Predictor, made_here
from mattertune_nb.physics.holes import holes
from mattertune_nb.physics.walls import walls

BACKBONES = {
    "chgnet": mt.CHGNetBackboneConfig,
    "sevennet": mt.SevenNetBackboneConfig,
    "mace": mt.MACEBackboneConfig,
}

KEEP = ["trainer.replay.share=1"]

RECIPES: dict[str, list[str]] = {
    "full": [],
    "from scratch": [],
    "head only": [],
    "half of the blocks frozen": [],
    "rates falling by depth": ["model.lr_decay=0.6"],
    "gradual unfreezing": ["trainer.unfreezing.epochs=1"],
    "LoRA": ["model.lora.rank=8", "model.optimizer.lr=0.005"],
    "EMA": ["trainer.ema.decay=0.95"],
    "a lower rate": ["model.optimizer.lr=0.0005"],
    "L2-SP": ["trainer.l2_sp.weight=0.001"],
    "EWC": ["trainer.ewc.weight=1"],
    "replay": ["trainer.replay={}"],
    "replay, one for one": KEEP,
    "replay, one for one, and EWC": [*KEEP, "trainer.ewc.weight=1"],
    "replay, one for one, and L2-SP": [*KEEP, "trainer.l2_sp.weight=0.001"],
    "replay, one for one, and a lower rate": [*KEEP, "model.optimizer.lr=0.0005"],
    "EWC and a lower rate": ["trainer.ewc.weight=1", "model.optimizer.lr=0.0005"],
    "EWC, weight 10": ["trainer.ewc.weight=10"],
    "replay, one for one, and LoRA": [*KEEP, "model.lora.rank=8", "model.optimizer.lr=0.005"],
}
"""The settings that each one changes; the first is what the others are compared with."""


class FromScratch(mt.FinetuneModuleBase):
    """Forgets all pretrained weights."""

    def __init__(self, config: mt.BackboneConfig) -> None:
        super().__init__(config)
        with torch.no_grad():
            for module in self.backbone.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
                elif getattr(module, "weight", None) in set(module.parameters(recurse=False)):
                    module.weight.normal_()


def data_of(target: str, folder: Path) -> mt.ManualSplitDataModuleConfig:
    """Return the data of a target, few enough for some minutes."""
    if target == "demo":
        return mt.demo_config().data
    name, n_train, n_val = {
        "water": ("train_30_water_1000_eVAng.xyz", 16, 6),
        "li": ("Li_electrode_finetune.xyz", 80, 16),
    }[target]

    def part(index: str) -> mt.XYZDatasetConfig:
        return mt.XYZDatasetConfig(src=folder / name, index=index)

    return mt.ManualSplitDataModuleConfig(
        train=part(f":{n_train}"), validation=part(f"-{n_val}:"), batch_size=2
    )


def measure(backbone: str, target: str, recipe: str, epochs: int, folder: Path) -> dict[str, Any]:
    """Run one recipe, and measure what came of it."""
    torch.manual_seed(0)
    changes = list(RECIPES[recipe])
    untuned = mt.FinetuneModuleBase(BACKBONES[backbone]()).eval()
    if recipe in ("head only", "half of the blocks frozen"):
        n_blocks = max(depths(untuned.backbone, "recipe").values()) - 1
        changes.append(
            f"model.frozen_blocks={n_blocks if recipe == 'head only' else n_blocks // 2}"
        )
    with tempfile.TemporaryDirectory() as root:
        config = mt.MatterTunerConfig(
            model=BACKBONES[backbone](),
            data=data_of(target, folder),
            trainer=mt.TrainerConfig(
                max_epochs=epochs, accelerator="cpu", walls=False, foreign_set=None
            ),
            run=mt.RunConfig(root=Path(root), name="run"),
        )
        config = override_settings(config, changes)
        data = mt.MatterTuneDataModule(config.data)
        data.setup("fit")
        frames = list(data.datasets["train"])
        module_class = FromScratch if recipe == "from scratch" else mt.FinetuneModuleBase
        trainable = sum(
            p.numel() for p in module_class(config.model).parameters() if p.requires_grad
        )
        begun = time.process_time()
        result = mt.MatterTuner(config, module_class=module_class).tune()
        seconds = time.process_time() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        errors = result.run.directory.best_metrics()
    foreign = made_here(untuned, frames)
    elsewhere, _ = foreign.errors(*Predictor(foreign.frames, untuned.backbone)(result.model))
    elements = {symbol for atoms in frames for symbol in set(atoms.symbols)}
    new = [h for h in holes(walls(untuned, elements), walls(result.model, elements)) if h.is_new]
    return {
        "forces": 1e3 * errors["val/forces_mae"],
        "energy": 1e3 * errors["val/energy_per_atom_mae"],
        "elsewhere": 1e3 * elsewhere.forces,
        "energy elsewhere": 1e3 * elsewhere.energy,
        "holes": len(new),
        "trainable": trainable,
        "seconds": seconds,
        "memory": memory,
    }


COLUMNS = {
    "forces": "forces (meV/Å)",
    "energy": "energy (meV/atom)",
    "elsewhere": "forces elsewhere",
    "energy elsewhere": "energy elsewhere",
    "holes": "new holes",
    "trainable": "trained weights",
    "seconds": "CPU time (s)",
    "memory": "memory (MB)",
}


def row(name: str, found: dict[str, Any]) -> str:
    """Return a row of the table."""
    cells = [f"{v:.1f}" if k in list(COLUMNS)[:4] else f"{v:.0f}" for k, v in found.items()]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print a table for each backbone and target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", nargs="+", default=["chgnet"], choices=BACKBONES)
    parser.add_argument("--targets", nargs="+", default=["demo"], choices=["demo", "water", "li"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--one", action="store_true", help="one run in this process, as JSON")
    given = parser.parse_args()
    if given.one:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        what = given.backbones[0], given.targets[0], given.recipes[0]
        sys.stdout.write(json.dumps(measure(*what, given.epochs, given.data)) + "\n")
        return
    for backbone in given.backbones:
        for target in given.targets:
            head = "| | " + " | ".join(COLUMNS.values()) + " |\n|" + "---|" * (len(COLUMNS) + 1)
            sys.stdout.write(f"\n{backbone} on {target}, {given.epochs} epochs\n\n{head}\n")
            for recipe in given.recipes:
                command = [sys.executable, __file__, "--one", "--backbones", backbone]
                command += ["--targets", target, "--recipes", recipe]
                command += ["--epochs", str(given.epochs), "--data", str(given.data)]
                env = os.environ | {"OMP_NUM_THREADS": "1"}
                done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.stderr.write(f"{recipe}: {done.stderr.strip().splitlines()[-1]}\n")
                    continue
                sys.stdout.write(row(recipe, json.loads(done.stdout.splitlines()[-1])) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
