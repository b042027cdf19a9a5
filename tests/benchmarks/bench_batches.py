"""Batches of structures beside batches of atoms: ``python tests/benchmarks/bench_batches.py [FILE] [STEPS]``.

CHGNet on the Li electrodes, 8 to 126 atoms per frame: batches of 4 frames, and batches with a bound on the
atoms that makes as many of them. Prints how their sizes spread over some epochs, the atoms a second of
training steps taken in turn, and the peak memory of a step with the largest batch. Aim: the same throughput
and a largest batch that is close to the mean one.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from timing import print_table, run_alone

warnings.simplefilter("ignore")
FILE = Path(__file__).parents[3] / "shared" / "data" / "Li_electrode_finetune.xyz"
STRUCTURES = 4
N_EPOCHS = 20


def main(file: str, n_steps: int) -> None:
    """Print the table; each kind of batches has its peak memory in a process of its own."""
    kinds = {
        kind: run_alone(sys.executable, __file__, file, kind).peak
        for kind in ("structures", "atoms", "smallest")
    }
    base = kinds.pop("smallest")
    said = run_alone(sys.executable, __file__, file, "throughput", str(n_steps)).said
    rows = [
        (
            "",
            "atoms per batch",
            "largest",
            "atoms/s",
            "atoms/s of processor",
            "peak memory of a step",
        )
    ]
    for kind, peak in kinds.items():
        one = said[kind]
        rows.append(
            (
                one["title"],
                f"{one['mean']:.0f} ± {one['spread']:.0f}",
                f"{one['largest']}",
                f"{one['atoms'] / one['wall']:.0f}",
                f"{one['atoms'] / one['cpu']:.0f}",
                f"{peak - base:.0f} MB",
            )
        )
    print_table(f"{Path(file).name}, {n_steps} steps of each", *rows)


def throughput(file: str, n_steps: int) -> dict[str, dict[str, Any]]:
    """Take training steps with both kinds of batches in turn, their graphs built before."""
    module, loaders = prepare(file)
    said = {}
    for kind, loader in loaders.items():
        sizes = [sum(batch) for batch in epochs(loader)]
        bound = loader.sampler.max_atoms
        said[kind] = {
            "title": f"max_atoms={bound}" if bound else f"batch_size={STRUCTURES}",
            "mean": statistics.mean(sizes),
            "spread": statistics.stdev(sizes),
            "largest": max(sizes),
        } | dict.fromkeys(("atoms", "wall", "cpu"), 0)
    module.training_step(next(iter(loaders["atoms"])), 0).backward()
    for batches in zip(*loaders.values(), range(n_steps), strict=False):
        for one, batch in zip(said.values(), batches, strict=False):
            start = time.perf_counter(), time.process_time()
            module.training_step(batch, 0).backward()
            one["wall"] += time.perf_counter() - start[0]
            one["cpu"] += time.process_time() - start[1]
            one["atoms"] += len(batch.numbers)
    return said


def step(file: str, kind: str) -> dict[str, Any]:
    """Take one training step, with the largest batch of some epochs or with the smallest frame."""
    module, loaders = prepare(file)
    dataset = loaders["atoms"].dataset.dataset
    if kind == "smallest":
        frames = [int(np.argmin(dataset.frames.n_atoms()))]
    else:
        frames = max(drawn(loaders[kind]), key=lambda batch: dataset.frames.n_atoms()[batch].sum())
    module.training_step(dataset.collate([dataset[i] for i in frames]), 0).backward()
    return {}


def prepare(file: str) -> tuple[Any, dict[str, Any]]:
    """Return CHGNet in training and its loaders of both kinds of batches."""
    import mattertune_nb as mt

    module = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig())
    frames = mt.XYZDatasetConfig(src=file).create_dataset()
    by_count = module.create_dataloader(frames, True, shuffle=True, batch_size=STRUCTURES)
    bound = STRUCTURES * int(frames.n_atoms().mean())
    by_atoms = module.create_dataloader(frames, True, shuffle=True, max_atoms=bound)
    while len(by_atoms) > len(by_count):
        bound += 1
        by_atoms = module.create_dataloader(frames, True, shuffle=True, max_atoms=bound)
    return module, {"structures": by_count, "atoms": by_atoms}


def drawn(loader: Any) -> list[list[int]]:
    """Return the frames of the batches of some epochs."""
    batches = []
    for epoch in range(N_EPOCHS):
        loader.sampler.set_epoch(epoch)
        batches += list(loader.sampler)
    loader.sampler.set_epoch(0)
    return batches


def epochs(loader: Any) -> list[list[int]]:
    """Return the sizes of the frames in the batches of some epochs."""
    sizes = loader.dataset.dataset.frames.n_atoms()
    return [sizes[batch].tolist() for batch in drawn(loader)]


if __name__ == "__main__":
    file, *rest = sys.argv[1:] or [str(FILE)]
    if not Path(file).is_file():
        sys.stdout.write(f"{file} is not on this machine; name another file.\n")
    elif not rest or rest[0].isdigit():
        main(file, int(rest[0]) if rest else 24)
    else:
        result = throughput(file, int(rest[1])) if rest[0] == "throughput" else step(file, rest[0])
        sys.stdout.write(json.dumps(result) + "\n")
