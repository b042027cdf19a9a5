"""Time and memory over the number of frames: ``python tests/benchmarks/bench_scale.py [PART …]``.

Parts are ``file``, ``million``, ``morse``, ``chgnet``, ``metrics`` and ``select``; all by default, but for
``million``, which takes minutes and 2 GB of disk. Aims: an extended-XYZ file of 100 000 frames is opened
in less than 1 GB, the second time by its kept index, one of a million in under 30 s; a run on 4 and 16
times the data takes 4 and 16 times as long and, beyond caches whose size is set, no more memory; the
state of the validation's metrics does not grow at all.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from timing import Process, print_table, run_alone

warnings.simplefilter("ignore")
N_FRAMES = {"file": 100_000, "million": 1_000_000}
N_POOL, N_CHOSEN = 10_000, 20
SIZES = {"morse": (2048, 8192, 32_768), "chgnet": (64, 256, 1024)}
CACHE_MB = (
    2.0  # of frames, of graphs in memory, and of graphs on disk; even the smallest set is larger
)


def main(parts: list[str]) -> None:
    """Measure, each time in a process of its own and with an empty cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for part in parts or ["file", *SIZES, "metrics", "select"]:
            if part in N_FRAMES:
                show_file(Path(folder), N_FRAMES[part])
            elif part == "metrics":
                show_metrics()
            elif part == "select":
                show_selection(Path(folder))
            else:
                show_training(part, Path(folder))


def show_file(folder: Path, n: int) -> None:
    """Print what it takes to open the long file twice, and to read and check all of it as a run does."""
    path = folder / "long.xyz"
    write_copper(path, n)
    rows = [("", "time", "processor", "peak memory", "scans of the file")]
    for title, reads in (("opened", ""), ("opened again", ""), ("and every frame checked", "all")):
        process = alone("open_file", path, n, reads)
        said = process.said
        rows.append((title, *times(said), f"{process.peak:.0f} MB", f"{said['scans']}"))
    print_table(f"{n} frames of 8 atoms, {path.stat().st_size / 1e6:.0f} MB", *rows)
    path.unlink()


def show_training(backbone: str, folder: Path) -> None:
    """Print what a run of one epoch takes on more and more frames."""
    rows = [("frames", "time", "processor", "processor a frame", "peak memory", "more a frame")]
    before: tuple[int, float] | None = None
    for n in SIZES[backbone]:
        path = folder / f"{n}.xyz"
        write_copper(path, n)
        process = alone("tune", backbone, path, folder / "runs")
        more = (
            ""
            if before is None
            else f"{1000 * (process.peak - before[1]) / (n - before[0]):.1f} kB"
        )
        each = f"{1000 * process.said['cpu'] / n:.1f} ms"
        rows.append((f"{n}", *times(process.said), each, f"{process.peak:.0f} MB", more))
        before = n, process.peak
    print_table(f"{backbone}, an epoch with {CACHE_MB:.0f} MB of each cache", *rows)


def show_metrics() -> None:
    """Print the size of the metrics' state after a few and after many frames."""
    said = alone("metrics_state").said
    rows = [(frames, f"{size} bytes") for frames, size in said.items()]
    print_table("State of the validation's metrics", ("frames", "state"), *rows)


def show_selection(folder: Path) -> None:
    """Print what it takes to choose from a long pool, by each description of its structures."""
    path = folder / "pool.xyz"
    write_copper(path, N_POOL)
    rows = [("described by", "time", "processor", "peak memory")]
    for title, model in (("distances of atoms", ""), ("CHGNet's features", "chgnet")):
        process = alone("choose", path, model)
        rows.append((title, *times(process.said), f"{process.peak:.0f} MB"))
    print_table(f"{N_CHOSEN} of {N_POOL} frames of 8 atoms, by diversity", *rows)


def alone(function: str, *arguments: object) -> Process:
    """Call a function of this file in a fresh process."""
    return run_alone(sys.executable, __file__, function, *map(str, arguments))


def times(said: dict[str, float]) -> tuple[str, str]:
    """Return wall time and processor time as text."""
    return f"{said['wall']:.2f} s", f"{said['cpu']:.2f} s"


def open_file(path: str, n: str, reads: str) -> dict[str, float]:
    """Open a file as a run does, and read a frame of each set or check all of them."""
    import mattertune_nb as mt
    from mattertune_nb.data.frame_checks import check_dataset
    from mattertune_nb.data.xyz import file as xyz

    scans, scan = [], xyz._scan
    xyz._scan = lambda *given: scans.append(given) or scan(*given)
    config = mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=path))
    data = mt.MatterTuneDataModule(config)  # imports torch and Lightning
    start = time.perf_counter(), time.process_time()
    data.setup("fit")
    for dataset in data.datasets.values():
        dataset.labels(0)
        if reads:
            check_dataset(dataset, {"energy": "error", "forces": "error", "stresses": "error"})
    assert sum(map(len, data.datasets.values())) == int(n)
    return since(start) | {"scans": len(scans)}


def tune(backbone: str, path: str, root: str) -> dict[str, float]:
    """Train an epoch and validate, with caches that hold a few frames."""
    import mattertune_nb as mt

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    config = mt.MatterTunerConfig(
        model=backbone_config(backbone),
        data=mt.AutoSplitDataModuleConfig(
            dataset=mt.XYZDatasetConfig(src=path, cache_mb=CACHE_MB),
            batch_size=16,
            graph_memory_mb=CACHE_MB,
            graph_disk_mb=CACHE_MB,
        ),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(root=root),
    )
    tuner = mt.MatterTuner(config)
    start = time.perf_counter(), time.process_time()
    tuner.tune()
    return since(start)


def choose(path: str, model: str) -> dict[str, float]:
    """Choose the most diverse frames of a file."""
    import mattertune_nb as mt

    loaded = mt.FinetuneModuleBase(backbone_config(model)) if model else None
    start = time.perf_counter(), time.process_time()
    assert len(mt.select(path, N_CHOSEN, by="diversity", model=loaded)) == N_CHOSEN
    return since(start)


def metrics_state() -> dict[str, int]:
    """Return the bytes of the metrics' states after 10 and after 10 000 frames."""
    import torch
    from torchmetrics import Metric

    from mattertune_nb.model.metrics import PropertyMetrics

    metrics = PropertyMetrics(["energy", "forces", "stresses"], {})
    sizes = {}
    for n_frames in (10, 10_000):
        for _ in range(n_frames // 10):
            labels = {
                "energy": torch.randn(10),
                "forces": torch.randn(80, 3),
                "stresses": torch.randn(10, 6),
            }
            metrics.update_errors(
                {k: v + 0.1 for k, v in labels.items()}, labels, torch.full((10,), 8)
            )
            metrics.update_losses({name: (torch.tensor(0.1), 10) for name in labels})
        states = [m.metric_state for m in metrics.modules() if isinstance(m, Metric)]
        # a state that is a list of tensors, as one that grows would be, counts by its entries
        flat = [
            v
            for state in states
            for value in state.values()
            for v in torch.utils._pytree.tree_leaves(value)
        ]
        sizes[f"{n_frames}"] = sum(tensor.nbytes for tensor in flat)
    return sizes


def since(start: tuple[float, float]) -> dict[str, float]:
    """Return wall and processor time since both clocks were read, in s."""
    return {"wall": time.perf_counter() - start[0], "cpu": time.process_time() - start[1]}


def backbone_config(name: str) -> object:
    """Return CHGNet, or a Morse potential, whose own work is next to nothing."""
    import mattertune_nb as mt

    if name == "chgnet":
        return mt.CHGNetBackboneConfig()
    sys.path.append(str(Path(__file__).parents[1]))
    from toy_backbone import MorseBackboneConfig

    return MorseBackboneConfig()


def write_copper(path: Path, n_frames: int) -> None:
    """Write rattled cells of 8 copper atoms as plain text; what their labels say does not matter."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 1.8
    sites = np.concatenate([corners, corners + np.array([3.6, 0, 0])])
    line = "Cu" + " {:.6f}" * 6 + "\n"
    with path.open("w") as file:
        for _ in range(n_frames):
            stress = " ".join(f"{s:.6f}" for s in rng.normal(scale=0.01, size=9))
            file.write(
                '8\nLattice="7.2 0 0 0 3.6 0 0 0 3.6" Properties=species:S:1:pos:R:3:forces:R:3 '
                f'energy={rng.normal(-29.4):.6f} stress="{stress}" pbc="T T T"\n'
            )
            positions = sites + rng.normal(scale=0.05, size=(8, 3))
            rows = np.hstack([positions, rng.normal(scale=0.3, size=(8, 3))]).tolist()
            file.writelines(line.format(*row) for row in rows)


if __name__ == "__main__":
    called = {function.__name__: function for function in (open_file, tune, choose, metrics_state)}
    if sys.argv[1:2] and sys.argv[1] in called:
        sys.stdout.write(json.dumps(called[sys.argv[1]](*sys.argv[2:])) + "\n")
    else:
        main(sys.argv[1:])
