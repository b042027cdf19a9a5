"""Which settings tune best: ``python tests/benchmarks/study.py SET DATA FOLDER [elsewhere=FILE] [NAME …]``.

SET is ``water``, ``li`` or ``ethanol``; DATA is the file its frames come from. Each variant is a short run
that differs from the first, ``plain``, in what its name says, on frames split off the *training* frames:
the validation frames of the README's accuracy table are never seen. Runs that are finished in FOLDER are
not made again, so a study may be stopped and gone on with. Prints a row per run, the best first, with the
error of forces in an independent FILE: what tuning costs elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import mattertune_nb as mt
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.training.outcome.evaluation import evaluate

ENERGY, FORCES = "model.properties.0", "model.properties.1"

SETS: dict[str, tuple[str, str, list[str]]] = {
    "water": (":10", "20:23", ["data.batch_size=1", "trainer.max_epochs=8"]),
    "li": ("::4", "1::12", ["data.batch_size=2", "trainer.max_epochs=5"]),
    # from one trajectory to another
    "ethanol": (":80", "80::4", ["data.batch_size=2", "trainer.max_epochs=10"]),
}

PLAIN = [
    f"{ENERGY}.loss={{name: mae}}",
    f"{FORCES}.loss={{name: mae}}",
    f"{ENERGY}.loss_coefficient=1.0",
    "model.optimizer={name: adamw, lr: 0.001, weight_decay: 0.01}",
    "trainer.gradient_clip_val=null",
    "trainer.ema=null",
    "model.lr_scheduler={name: cosine, warmup: 0.0}",
]

HUBER = [
    f"{ENERGY}.loss={{name: huber, delta: 0.01}}",
    f"{FORCES}.loss={{name: huber, delta: 0.1}}",
]
L2 = [f"{FORCES}.loss={{name: l2_mae}}"]
FROZEN_LOWER = ["model.freeze=['*embedding*', '*conv_layers.0.*', '*conv_layers.1.*']"]
LIGHT = [f"{ENERGY}.loss_coefficient=0.1"]

FAST = [*LIGHT, "model.optimizer.lr=0.003"]
"""What the first rows of the study led to; later rows change one thing of it."""

DEFAULT = [*LIGHT, *L2, "model.optimizer.lr=0.002"]
"""The package's defaults, which the study led to."""

SLOW = ["model.optimizer.lr=0.0003"]
"""What suits data like those the backbone was trained on."""

VARIANTS: dict[str, list[str]] = {
    "plain": [],
    "lr 3e-4": SLOW,
    "lr 3e-4, l2 forces": [*SLOW, *L2],
    "lr 3e-4, huber": [*SLOW, *HUBER],
    "lr 3e-4, clip 0.1": [*SLOW, "trainer.gradient_clip_val=0.1"],
    "lr 3e-4, ema 0.9": [*SLOW, "trainer.ema={decay: 0.9}"],
    "lr 3e-4, decay 0.1": [*SLOW, "model.optimizer.weight_decay=0.1"],
    "lr 3e-4, batch of 8": [*SLOW, "data.batch_size=8"],
    "lr 3e-4, frozen embeddings": [*SLOW, "model.freeze=['*embedding*']"],
    "lr 3e-4, frozen lower blocks": [*SLOW, *FROZEN_LOWER],
    "lr 3e-4, ten epochs": [*SLOW, "trainer.max_epochs=10"],
    "lr 1e-4": ["model.optimizer.lr=0.0001"],
    "energy weight 0.1": LIGHT,
    "energy weight 0.01": [f"{ENERGY}.loss_coefficient=0.01"],
    "energy weight 0.1, lr 3e-4": [*LIGHT, *SLOW],
    "energy huber": HUBER[:1],
    "huber": HUBER,
    "fast": FAST,
    "fast, lr 1e-2": [*LIGHT, "model.optimizer.lr=0.01"],
    "fast, then energy weight 1": [*FAST, f"{ENERGY}.final_loss_coefficient=1.0"],
    "fast, then energy weight 10": [*FAST, f"{ENERGY}.final_loss_coefficient=10.0"],
    "fast, energy squared": [*FAST, f"{ENERGY}.loss={{name: mse}}"],
    "fast, huber": [*FAST, *HUBER],
    "fast, huber, forces weight 10": [*FAST, *HUBER, f"{FORCES}.loss_coefficient=10.0"],
    "fast, l2 forces": [*FAST, *L2],
    "fast, clip 1": [*FAST, "trainer.gradient_clip_val=1.0"],
    "fast, clip 0.1": [*FAST, "trainer.gradient_clip_val=0.1"],
    "fast, ema 0.9": [*FAST, "trainer.ema={decay: 0.9}"],
    "fast, ema 0.99": [*FAST, "trainer.ema={decay: 0.99}"],
    "fast, constant rate": [*FAST, "model.lr_scheduler=null"],
    "fast, warm-up 0.05": [*FAST, "model.lr_scheduler={name: cosine, warmup: 0.05}"],
    "fast, warm-up 0.2": [*FAST, "model.lr_scheduler={name: cosine, warmup: 0.2}"],
    "fast, no decay": [*FAST, "model.optimizer.weight_decay=0.0"],
    "fast, decay 0.1": [*FAST, "model.optimizer.weight_decay=0.1"],
    "fast, frozen embeddings": [*FAST, "model.freeze=['*embedding*']"],
    "fast, frozen lower blocks": [*FAST, *FROZEN_LOWER],
    "fast, batch of 4": [*FAST, "data.batch_size=4"],
    "default": DEFAULT,
    "default, no decay": [*DEFAULT, "model.optimizer.weight_decay=0.0"],
    "default, ema 0.99": [*DEFAULT, "trainer.ema={decay: 0.99}"],
    "default, lr 1e-3": [*DEFAULT, "model.optimizer.lr=0.001"],
    "default, lr 1e-3, ema 0.99, no decay": [
        *DEFAULT,
        "model.optimizer={name: adamw, lr: 0.001, weight_decay: 0.0}",
        "trainer.ema={decay: 0.99}",
    ],
    "default, no refit": [
        *DEFAULT,
        "model.normalizers={energy: [{name: per_atom_referencing, refit: false}]}",
    ],
    "fast, four epochs": [*FAST, "trainer.max_epochs=4"],
}


def finished(folder: Path) -> bool:
    """Return whether a run is there and came to its end."""
    return folder.exists() and mt.Run.attach(folder).status().state == "finished"


def settings_of(kind: str, name: str) -> list[str]:
    """Return what a variant sets, in the order in which later ones win."""
    return [*PLAIN, *SETS[kind][2], *VARIANTS[name]]


def tune(kind: str, data: str, folder: Path, name: str) -> mt.Run:
    """Train one variant, unless that has been done, and return its run."""
    directory = folder / f"{kind} {name}".replace(" ", "_").replace(",", "")
    if not finished(directory):
        train, validation, _ = SETS[kind]
        config = mt.MatterTunerConfig(
            model=mt.CHGNetBackboneConfig(),
            data=mt.ManualSplitDataModuleConfig(
                train=mt.XYZDatasetConfig(src=Path(data), index=train),
                validation=mt.XYZDatasetConfig(src=Path(data), index=validation),
            ),
            run=mt.RunConfig(name=directory.name, root=folder),
        )
        mt.MatterTuner(override_settings(config, settings_of(kind, name))).tune()
    return mt.Run.attach(directory)


def forces_elsewhere(run: mt.Run, file: str) -> float:
    """Return the error of a run's model in the forces of another file, in meV/Å."""
    dataset = mt.XYZDatasetConfig(src=Path(file)).create_dataset()
    return 1e3 * evaluate(run.model(), dataset)["forces_mae"]


def table(kind: str, runs: dict[str, mt.Run], elsewhere: str | None) -> Table:
    """Return a row per run: its last validation, so that no luck of a single epoch counts."""
    columns = ["settings", "forces meV/Å", "energy meV/atom", "lowest forces"]
    rows = Table(*columns, *(["elsewhere meV/Å"] if elsewhere else []), title=kind)
    last = {name: [r for r in run.metrics() if "val/forces_mae" in r] for name, run in runs.items()}
    for name in sorted(last, key=lambda name: last[name][-1]["val/forces_mae"]):
        forces = [1e3 * record["val/forces_mae"] for record in last[name]]
        energy = 1e3 * last[name][-1]["val/energy_per_atom_mae"]
        lost = [f"{forces_elsewhere(runs[name], elsewhere):.1f}"] if elsewhere else []
        rows.add_row(name, f"{forces[-1]:.1f}", f"{energy:.2f}", f"{min(forces):.1f}", *lost)
    return rows


def main(kind: str, data: str, folder: str, names: list[str]) -> None:
    """Make the runs and print the table."""
    console = Console()
    files = [name.removeprefix("elsewhere=") for name in names if name.startswith("elsewhere=")]
    names = [name for name in names if not name.startswith("elsewhere=")]
    runs: dict[str, mt.Run] = {}
    for name in names or VARIANTS:
        runs[name] = tune(kind, data, Path(folder), name)
    console.print(table(kind, runs, files[0] if files else None))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
