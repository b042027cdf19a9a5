"""Do chosen frames beat random ones? On liquid water, with several seeds, as one table.

``python tests/benchmarks/selection.py train_30_water_1000_eVAng.xyz [--seeds 5]``. For each seed frames
are dealt into a test set, two known ones and a pool. Two members are tuned on the known frames, three
frames of the pool are chosen at random, by the members' spread and by distance, and the pretrained model
is tuned on the known and the chosen ones. Errors are those of forces on the test set, in meV/Å; a
difference is that to random frames of the same seed.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io
import numpy as np
import torch

import mattertune_nb as mt

if TYPE_CHECKING:
    from ase import Atoms

WAYS = ("random", "uncertainty", "distance")
N_TEST, N_KNOWN, N_CHOSEN, EPOCHS = 6, 2, 3, 5


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tuned(frames: list[Atoms], held: list[Atoms], seed: int, root: Path) -> mt.FinetuneModuleBase:
    """Return the pretrained model, tuned on a few frames."""
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(optimizer=mt.AdamWConfig(lr=1e-3)),
        data=mt.ManualSplitDataModuleConfig(
            train=mt.AtomsListDatasetConfig(atoms_list=frames),
            validation=mt.AtomsListDatasetConfig(atoms_list=held),
            batch_size=1,
        ),
        trainer=mt.TrainerConfig(
            max_epochs=EPOCHS, accelerator="cpu", foreign_set=None, walls=False
        ),
        run=mt.RunConfig(root=root, name=f"run-{len(list(root.iterdir()))}", seed=seed),
    )
    return mt.MatterTuner(config).tune().model.eval()


def error(model: mt.FinetuneModuleBase, frames: list[Atoms]) -> float:
    """Return the mean absolute error of the forces in meV/Å."""
    found = model.property_predictor().predict(frames, ["energy", "forces"])
    wrong = [f["forces"] - a.get_forces() for f, a in zip(found, frames, strict=True)]
    return 1e3 * float(np.abs(np.concatenate(wrong)).mean())


def of_seed(frames: list[Atoms], seed: int) -> dict[str, float]:
    """Return the error after each way to choose."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frames)).tolist()
    parts = np.split(order, [N_TEST, N_TEST + 1, N_TEST + 1 + N_KNOWN])
    test, held, known, pool = ([frames[i] for i in part] for part in parts)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        members = [tuned(known, held, 10 * seed + k, root) for k in range(2)]
        ensemble = mt.Ensemble(members)
        found = {"known alone": error(members[0], test)}
        for way in WAYS:
            if way == "random":
                chosen = [pool[i] for i in rng.permutation(len(pool))[:N_CHOSEN]]
            else:
                picked = mt.select(pool, N_CHOSEN, by=way, model=ensemble, known=known)
                chosen = [pool[i] for i in picked.positions]
            found[way] = error(tuned([*known, *chosen], held, 10 * seed, root), test)
    return found


def main() -> None:
    """Print a line a seed, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if not arguments.file.is_file():
        say(f"{arguments.file} is not there; nothing is measured.")
        return
    frames = ase.io.read(arguments.file, ":")
    begun, rows = time.monotonic(), []
    for seed in range(arguments.seeds):
        rows.append(of_seed(frames, seed))
        say(json.dumps({"seed": seed, **rows[-1]}))
    say("\n| | forces (meV/Å), mean ± spread over seeds | difference to random |\n|---|---|---|")
    for name in rows[0]:
        errors = np.array([row[name] for row in rows])
        apart = errors - np.array([row["random"] for row in rows])
        spread = [float(np.std(part, ddof=1)) if len(rows) > 1 else 0.0 for part in (errors, apart)]
        say(
            f"| {name} | {errors.mean():.1f} ± {spread[0]:.1f} | {apart.mean():+.1f} ± {spread[1]:.1f} |"
        )
    say(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
