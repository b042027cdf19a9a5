"""``BackboneFacts`` of the shipped backbones, measured: ``python tests/benchmarks/bench_backbones.py``.

Parameters, cutoff and elements are those of the loaded model. The cost is the processor time of a training
step (forward, forces, backward to the weights) on the same eight oxides of 8 to 32 atoms on one core, over
that of CHGNet 0.3.0; graphs are built before. Each model has its turn in each of five rounds, and medians are
divided.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from structures import oxides
from timing import print_table, seconds

import mattertune_nb as mt

CONFIGS: dict[str, Any] = {
    "CHGNet 0.3.0": mt.CHGNetBackboneConfig(),
    "CHGNet 0.2.0": mt.CHGNetBackboneConfig(pretrained_model="0.2.0"),
    "CHGNet r2scan": mt.CHGNetBackboneConfig(pretrained_model="r2scan"),
    "SevenNet 7net-0": mt.SevenNetBackboneConfig(),
    "SevenNet 7net-l3i5": mt.SevenNetBackboneConfig(pretrained_model="7net-l3i5"),
    "SevenNet 7net-mf-0": mt.SevenNetBackboneConfig(pretrained_model="7net-mf-0", modality="PBE"),
}
ROUNDS = 5


def step(backbone: Any, batch: Any) -> None:
    """Differentiate the loss of energies and forces with respect to the weights."""
    out = backbone(batch, forces=True)
    loss = out["energy"].square().mean() + out["forces"].square().mean()
    loss.backward()
    backbone.zero_grad()


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    frames = oxides(8)
    models = {name: config.create_backbone().train() for name, config in CONFIGS.items()}
    batches = {n: m.collate([m.graph(atoms) for atoms in frames]) for n, m in models.items()}
    for name, model in models.items():
        step(model, batches[name])
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, model in models.items():
            times[name].append(seconds(lambda m=model, n=name: step(m, batches[n])))
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        (
            name,
            f"{sum(p.numel() for p in model.parameters()):,}",
            f"{model.cutoff:g}",
            str(len(model.elements)),
            f"{1000 * median[name]:.0f}",
            f"{median[name] / median['CHGNet 0.3.0']:.2f}",
        )
        for name, model in models.items()
    ]
    head = ("", "parameters", "cutoff (Å)", "elements", "ms a step", "over CHGNet 0.3.0")
    print_table("A training step on eight oxides, one core", head, *rows)


if __name__ == "__main__":
    main()
