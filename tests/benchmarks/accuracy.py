"""One long run on real data: ``python tests/benchmarks/accuracy.py NAME TRAIN VALIDATION [FIELD=VALUE …]``.

TRAIN and VALIDATION are files; frames are chosen as in ``water.xyz@:25``. Further fields of the config
are set as with ``mattertune-nb fit --set``. Prints the errors untuned, with reference energies, and of the
best epoch, and the time an epoch.
"""

from __future__ import annotations

import sys

from rich.console import Console

import mattertune_nb as mt
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.training.outcome.error_table import error_table
from mattertune_nb.training.outcome.stages import validated_stages


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
    result = tuner.tune()
    run = result.run
    console = Console()
    stages = validated_stages(result.model.baseline, run.directory.best_metrics())
    console.print(error_table(stages, validation))
    times = [r["time"] for r in run.metrics() if "val/total_loss" in r]
    if len(times) > 1:
        console.print(f"{(times[-1] - times[0]) / (len(times) - 1):.0f} s an epoch")


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])
