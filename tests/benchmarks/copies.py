"""What an ensemble in one run costs and says, beside one model and beside models of several seeds.

``python tests/benchmarks/copies.py [--copies 4] [--epochs 12] [--file FRAMES]``. CHGNet is tuned on the
demo's ethanol, or on half of the frames of a file, whose other half are validation and test. Errors are
those of forces on the test set; the factor is that of the validation set, the rank correlations are those on
the test set of error and spread, of force components and of frames (root mean squares). Times are CPU times.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
import numpy as np
import torch
from scipy.stats import spearmanr

import mattertune_nb as mt
from mattertune_nb.model.calibration import calibration
from mattertune_nb.training.outcome.spread import calibrate

if TYPE_CHECKING:
    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def parts_of(file: Path | None) -> tuple[AtomsDataset, AtomsDataset, AtomsDataset]:
    """Return training, validation and test set."""
    if file is None:
        train, validation, test = (
            mt.open_dataset(mt.demo_data(part)) for part in ("train", "validation", "test")
        )
        return train, validation, test
    frames = ase.io.read(file, ":")
    order = np.random.default_rng(0).permutation(len(frames)).tolist()
    half, rest = len(order) // 2, 3 * len(order) // 4
    parts = order[:half], order[half:rest], order[rest:]
    train, validation, test = (mt.as_dataset([frames[i] for i in part]) for part in parts)
    return train, validation, test


def tuned(
    parts: tuple[AtomsDataset, ...], root: Path, epochs: int, batch_size: int, **settings: Any
) -> tuple[mt.FinetuneModuleBase, float]:
    """Return a tuned model, and the CPU time that it took in s."""
    frames: list[list[Atoms]] = [[part.frame(i) for i in range(len(part))] for part in parts]
    seed = settings.pop("seed", 0)
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(**settings),
        data=mt.ManualSplitDataModuleConfig(
            train=mt.AtomsListDatasetConfig(atoms_list=frames[0]),
            validation=mt.AtomsListDatasetConfig(atoms_list=frames[1]),
            batch_size=batch_size,
        ),
        trainer=mt.TrainerConfig(
            max_epochs=epochs, accelerator="cpu", foreign_set=None, walls=False
        ),
        run=mt.RunConfig(root=root, name=f"run-{len(list(root.iterdir()))}", seed=seed),
    )
    begun = time.process_time()
    model = mt.MatterTuner(config).tune().model.eval()
    return model, time.process_time() - begun


def row(name: str, model: mt.FinetuneModuleBase, seconds: float, parts: Any) -> str:
    """Return what is told of a model, as a row of the table."""
    _, validation, test = parts
    errors, spreads = [], []
    if len(model.factors):
        model.factors = dict.fromkeys(model.properties, 1.0)
        model.factors |= {k: v.factor for k, v in calibrate(model, validation).items()}
    begun = time.process_time()
    for i, found in model.property_predictor().stream(test):
        errors.append(found["forces"] - test.labels(i)["forces"])
        spreads.append(found.get("forces_std", np.zeros_like(errors[-1])))
    took = time.process_time() - begun
    wrong = np.concatenate(errors)
    said = f"| {name} | {seconds:.0f} | {took:.1f} | {1e3 * np.abs(wrong).mean():.1f} |"
    if not len(model.factors):
        return f"{said} | | | |"
    left = calibration(np.ravel(wrong), np.ravel(np.concatenate(spreads)))
    by_frame = spearmanr(*([np.sqrt(np.mean(v**2)) for v in each] for each in (errors, spreads)))
    return (
        f"{said} {model.factors['forces']:.2g} | {left.factor:.2g} | {left.correlation:.2f} | "
        f"{by_frame.statistic:.2f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    parts = parts_of(given.file)
    say(
        "| | training (s) | prediction (s) | forces MAE (meV/Å) | factor | error / spread | rank "
        "correlation | of frames |\n|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings: dict[str, Any] = {"epochs": given.epochs, "batch_size": given.batch_size}
        model, seconds = tuned(parts, root, **settings, last_block_copies=given.copies)
        say(row(f"{given.copies} copies of the last block", model, seconds, parts))
        runs = [tuned(parts, root, **settings, seed=k) for k in range(given.copies)]
        say(row("one model", *runs[0], parts))
        models, times = zip(*runs, strict=True)
        say(row(f"{given.copies} seeds", mt.Ensemble(models), sum(times), parts))


if __name__ == "__main__":
    main()
