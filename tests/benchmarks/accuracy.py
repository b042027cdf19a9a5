"""One long run on real data: ``python tests/benchmarks/accuracy.py NAME TRAIN VALIDATION [FIELD=VALUE …]``.

TRAIN and VALIDATION are files; frames are chosen as in ``water.xyz@:25``. Further fields of the config
are set as with ``mattertune-nb fit --set``. Prints the errors untuned, with reference energies, and of the
best epoch, and the time an epoch.
"""

from __future__ import annotations

import sys

from rich.console import Console

import mattertune_nb as mt
from mattertune_nb.cli import error_table, override_settings


def source(text: str) -> mt.XYZDatasetConfig:
    """Return the data set that ``file@frames`` names."""
    path, _, index = text.partition("@")
    return mt.XYZDatasetConfig(src=path, index=index or ":")


def main(name: str, train: str, validation: str, changes: list[str]) -> None:
    """Train, and print a table."""
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.ManualSplitDataModuleConfig(train=source(train), validation=source(validation)),
        run=mt.RunConfig(name=name),
    )
    tuner = mt.MatterTuner(override_settings(config, changes))
    model, trainer = tuner.tune()
    run = mt.Run.attach(str(trainer.default_root_dir))
    best = run.directory.best_metrics()
    untuned = {k.removeprefix("baseline/"): v for k, v in model.baseline.items()}
    referenced = {
        k.removeprefix("referenced_"): v for k, v in untuned.items() if k.startswith("referenced_")
    }
    tuned = {k.removeprefix("val/"): v for k, v in best.items() if k.startswith("val/")}
    title = f"{validation}, best epoch {best['epoch']}"
    stages = {"untuned": untuned, "references": untuned | referenced, "tuned": tuned}
    console = Console()
    console.print(error_table(stages, title))
    times = [r["time"] for r in run.metrics() if "val/total_loss" in r]
    if len(times) > 1:
        console.print(f"{(times[-1] - times[0]) / (len(times) - 1):.0f} s an epoch")


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])
