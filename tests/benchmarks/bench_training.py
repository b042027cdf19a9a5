"""An epoch of ours over the same by other hands.

``python tests/benchmarks/bench_training.py [BACKBONE …] [FILE@FRAMES …]``

Ours is a whole epoch of ``MatterTuner.tune`` as a user gets it, with metrics, validation, run directory,
checkpoints and a progress bar. Beside it stand a plain PyTorch loop over the same backbone, graphs and
batches, which validates too but records and saves nothing (aim: 1.05 at most), and the vendor's own trainer
(aim: 1.0 at most). All train on energy, forces and stress by the same losses with the same optimizer, on
graphs that are built before. After each of our epochs the others have theirs, on the batches that ours had,
so all see the same machine; the first epoch is a warm-up. The losses of the plain loop are asserted to be
ours to rounding, and the vendor's last validation to agree.

Without files, on oxides of 8 to 32 atoms. A file needs energies, forces and stresses; frames are chosen as
in ``li.xyz@:10``.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import units
from ase.io import write
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import RichProgressBar
from structures import labelled, oxides
from timing import Times, now, print_table
from trainers import LR, STRESS_WEIGHT, CHGNetTrainer, PlainLoop, SevenNetTrainer

import mattertune_nb as mt

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

VENDORS = {"chgnet": CHGNetTrainer, "sevennet": SevenNetTrainer}
N_FRAMES = {"chgnet": 20, "sevennet": 10}
ROUNDS = 4
BACKBONES = {"chgnet": mt.CHGNetBackboneConfig, "sevennet": mt.SevenNetBackboneConfig}


class Turns(Callback):
    """Gives others an epoch after each of ours; ours counts from one beginning of an epoch to the next."""

    def __init__(self, others: dict[str, Any]) -> None:
        self.others = others
        self.times: dict[str, list[Times]] = {name: [] for name in ("ours", *others)}
        self.errors: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
        self.batches: list[list[int]] = []
        self.losses: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End our epoch, if there was one, and begin the next."""
        if self.batches:
            self._turn(trainer)
        self.batches, self.losses = [], []
        self._start = now()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note what was in the batch."""
        self.batches.append(batch.index.tolist())
        self.losses.append(float(outputs["loss"]))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the last epoch."""
        self._turn(trainer)

    def _turn(self, trainer: Trainer) -> None:
        self.times["ours"].append(now() - self._start)
        self.errors["ours"].append(float(trainer.callback_metrics["val/forces_mae"]))
        for name, other in self.others.items():
            start = now()
            self.errors[name].append(other(self.batches))
            self.times[name].append(now() - start)
        np.testing.assert_allclose(self.others["a plain loop"].losses, self.losses, rtol=1e-3)


def settings(backbone: str, source: str | None, folder: Path, rounds: int) -> mt.MatterTunerConfig:
    """Return the job: a fifth of the frames is for validation."""
    if source is None:
        source = f"{folder / 'oxides.xyz'}"
        write(source, labelled(oxides(N_FRAMES[backbone])))
    path, _, index = source.partition("@")
    dataset = mt.XYZDatasetConfig(src=Path(path), index=index or ":")
    mse = mt.MSELossConfig()
    return mt.MatterTunerConfig(
        model=BACKBONES[backbone](
            properties=[
                mt.EnergyPropertyConfig(loss=mse, loss_coefficient=1.0),
                mt.ForcesPropertyConfig(loss=mse),
                mt.StressesPropertyConfig(loss=mse, loss_coefficient=STRESS_WEIGHT / units.GPa**2),
            ],
            optimizer=mt.AdamWConfig(lr=LR),
            lr_scheduler=None,
            normalizers={},
        ),
        data=mt.AutoSplitDataModuleConfig(dataset=dataset, batch_size=4, graph_disk_mb=0),
        trainer=mt.TrainerConfig(max_epochs=rounds + 1, accelerator="cpu"),
        run=mt.RunConfig(name="ours", root=folder),
    )


def measure(backbone: str, source: str | None, rounds: int) -> None:
    """Train, and print a row for each of the others."""
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("w") as nowhere:
        config = settings(backbone, source, Path(name), rounds)
        parts = config.data.create_datasets()
        kinds = {"a plain loop": PlainLoop, "the vendor's trainer": VENDORS[backbone]}
        others = {
            title: kind(config.model, parts["train"], parts["validation"], Path(name))
            for title, kind in kinds.items()
        }
        turns = Turns(others)
        bar = RichProgressBar(console_kwargs={"file": nowhere, "force_terminal": True})
        mt.MatterTuner(config).tune(callbacks=[turns, bar])
    agree = [turns.errors[side][-1] for side in ("ours", "the vendor's trainer")]
    # CHGNet's trainer counts the stress by nine components, ours by six
    np.testing.assert_allclose(*agree, rtol=0.02, err_msg="forces of the validation")
    ours, rows = turns.times["ours"][1:], []
    for title in others:
        pairs = list(zip(ours, turns.times[title][1:], strict=True))
        ratios = sorted(mine.wall / other.wall for mine, other in pairs)
        cpu = statistics.median(mine.cpu / other.cpu for mine, other in pairs)
        seconds = [statistics.median(t.cpu for t in side) for side in zip(*pairs, strict=True)]
        rows.append(
            (
                title,
                f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                f"{cpu:.3f}",
                "{:.2f} / {:.2f} s".format(*seconds),
            )
        )
    frames = f"{len(parts['train'])} + {len(parts['validation'])} frames"
    print_table(
        f"{backbone}, {len(ours)} epochs of {frames} of {Path(source).name if source else 'oxides'}",
        ("ours over", "clock", "processor", "of the processor"),
        *rows,
    )


def main(arguments: list[str]) -> None:
    """Measure each backbone on each file."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    sources = [a for a in arguments if a not in BACKBONES]
    for backbone in [a for a in arguments if a in BACKBONES] or BACKBONES:
        for source in sources or [None]:
            measure(backbone, source, ROUNDS)


if __name__ == "__main__":
    main(sys.argv[1:])
