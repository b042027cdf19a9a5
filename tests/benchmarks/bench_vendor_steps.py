"""A training step beside the vendor's own pass: ``python tests/benchmarks/bench_vendor_steps.py``.

Models of matgl and ORB have the sizes of the published ones and random weights. A step is forward, forces,
and backward to the weights, on eight frames of ethanol on one core, graphs built before, the vendor's by the
vendor. Each has its turn in each of five rounds, and medians are divided.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import ase.io
import torch
from timing import print_table, seconds

import mattertune_nb as mt

ROUNDS = 5


def ours(config: Any, frames: list[Any]) -> Any:
    """Return a step of our backbone."""
    backbone = config.create_backbone().train()
    batch = backbone.collate([backbone.graph(atoms) for atoms in frames])

    def step() -> None:
        out = backbone(batch, forces=True)
        (out["energy"].square().mean() + out["forces"].square().mean()).backward()
        backbone.zero_grad()

    return step


def of_matgl(folder: Path, name: str, frames: list[Any], **settings: Any) -> tuple[Any, Any]:
    """Return a step of ours and of the vendor's for a model of matgl."""
    from matgl import models
    from matgl.apps.pes import Potential
    from matgl.ext.ase import Atoms2Graph
    from torch_geometric.data import Batch

    model = getattr(models, name)(**settings)
    Potential(model).save(folder / name)
    potential = Potential(model, calc_stresses=False).train()
    graphs = [Atoms2Graph(model.element_types, model.cutoff).get_graph(atoms) for atoms in frames]
    batch = Batch.from_data_list([g for g, *_ in graphs])
    lattice = torch.eye(3).repeat(len(frames), 1, 1)

    def step() -> None:
        energy, forces, *_ = potential(batch, lattice)
        (energy.square().mean() + forces.square().mean()).backward()
        potential.zero_grad()

    return ours(mt.MatGLBackboneConfig(checkpoint=folder / name), frames), step


def of_orb(folder: Path, frames: list[Any]) -> tuple[Any, Any]:
    """Return a step of ours and of the vendor's for ORB v3, conservative."""
    from orb_models.forcefield.atomic_system import SystemConfig, ase_atoms_to_atom_graphs
    from orb_models.forcefield.base import batch_graphs
    from orb_models.forcefield.pretrained import orb_v3_conservative_architecture

    model = orb_v3_conservative_architecture(device="cpu", has_stress=False).train()
    torch.save(model.state_dict(), folder / "orb.ckpt")
    system = SystemConfig(6.0, 120)
    graphs = [ase_atoms_to_atom_graphs(atoms, system, device="cpu") for atoms in frames]

    def step() -> None:
        out = model(batch_graphs(graphs))
        (out["energy"].square().mean() + out["grad_forces"].square().mean()).backward()
        model.zero_grad()

    return ours(mt.ORBBackboneConfig(checkpoint=folder / "orb.ckpt"), frames), step


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    frames = ase.io.read(mt.demo_data("train"), ":8")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {"is_intensive": False, "use_smooth": True}
        pairs = {
            "TensorNet": of_matgl(
                folder, "TensorNet", frames, units=128, rbf_type="SphericalBessel", **sizes
            ),
            "M3GNet": of_matgl(folder, "M3GNet", frames, **sizes),
            "CHGNet of matgl": of_matgl(folder, "CHGNet", frames),
            "ORB v3 conservative": of_orb(folder, frames),
        }
        for label, steps in pairs.items():
            for step in steps:
                step()
            times = [[seconds(step) for step in steps] for _ in range(ROUNDS)]
            own, theirs = (statistics.median(column) for column in zip(*times, strict=True))
            rows.append((label, f"{1e3 * own:.0f}", f"{1e3 * theirs:.0f}", f"{own / theirs:.2f}"))
    head = ("", "ms a step", "vendor's pass", "over it")
    print_table("A training step on eight frames of ethanol, one core", head, *rows)


if __name__ == "__main__":
    main()
