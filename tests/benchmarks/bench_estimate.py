"""What is said before Start beside what the run takes: ``python tests/benchmarks/bench_estimate.py demo``.

Or of one's own files: ``bench_estimate.py train.xyz validation.xyz --epochs 1``. The aims, on an idle
machine: time within 25 %, memory within 20 %. Graphs that earlier runs have kept are left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from timing import print_table, run_alone

ESTIMATE = """
import json, sys
from dataclasses import asdict
import mattertune_nb as mt
config = mt.MatterTunerConfig.from_yaml(sys.argv[1])
print(json.dumps(asdict(mt.estimate(config))))
"""


def main() -> None:
    """Estimate a run, then make it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", help="demo, or files to train and to validate on")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        path = Path(folder) / "config.yaml"
        write_config(path, arguments.data, arguments.epochs)
        asked = run_alone(sys.executable, "-c", ESTIMATE, str(path))
        said = asked.said
        done = run_alone(sys.executable, "-m", "mattertune_nb.cli", "fit", str(path))
        disk = sum(f.stat().st_size for f in (Path(folder) / "runs").rglob("*") if f.is_file())
    rows = [
        ("time", said["seconds"], done.wall, "s", 1.0),
        ("memory", said["memory"], done.peak * 1e6, "MB", 1e-6),
        ("disk", said["disk"], disk, "MB", 1e-6),
    ]
    print_table(
        f"{' '.join(arguments.data)}, {said['n_epochs']:g} epochs; the estimate took {asked.wall:.0f} s",
        ("", "estimate", "run", "difference"),
        *(
            (name, f"{a * f:,.0f} {unit}", f"{b * f:,.0f} {unit}", f"{100 * (a / b - 1):+.0f} %")
            for name, a, b, unit, f in rows
        ),
    )


def write_config(path: Path, data: list[str], epochs: int | None) -> None:
    """Write the settings of the run."""
    import mattertune_nb as mt

    root = path.parent / "runs"
    if data == ["demo"]:
        config = mt.demo_config(root)
    else:
        train, validation = (mt.XYZDatasetConfig(src=Path(name).absolute()) for name in data)
        config = mt.MatterTunerConfig(
            model=mt.CHGNetBackboneConfig(),
            data=mt.ManualSplitDataModuleConfig(train=train, validation=validation),
            trainer=mt.TrainerConfig(accelerator="cpu"),
            run=mt.RunConfig(root=root),
        )
    config.trainer.max_epochs = epochs or config.trainer.max_epochs
    config.to_yaml(path)


if __name__ == "__main__":
    main()
