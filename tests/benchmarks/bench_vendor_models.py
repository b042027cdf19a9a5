"""A training step beside one on the vendor's own model: ``bench_vendor_models.py nequip|allegro|mace FILE``.

Processor time of forward, forces, stress, backward and AdamW on the same eight oxides on one core, in turn;
graphs are built before, and by us for both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from structures import oxides
from timing import compare

from mattertune_nb.backbones.registry import backbone_config_class


def nequip(model: Any, batch: Any) -> Any:
    """Return what the vendor's trainer calls: energies, forces and stresses by its own gradients."""
    data = {
        "pos": batch.positions,
        "atom_types": batch.types,
        "edge_index": batch.edge_index,
        "edge_cell_shift": batch.cell_shifts.double(),
        "cell": batch.cell,
        "batch": batch.batch,
        "num_atoms": batch.n_atoms,
    }
    out = model(data)
    return out["total_energy"], out["forces"], out["stress"]


def mace(model: Any, batch: Any) -> Any:
    """Return what the vendor's trainer calls, as above."""
    dtype = model.r_max.dtype
    cell = batch.cell.to(dtype)
    shifts = batch.cell_shifts.to(dtype)
    centre = batch.edge_index[0]
    data = {
        "node_attrs": torch.nn.functional.one_hot(batch.types, len(model.atomic_numbers)).to(dtype),
        "positions": batch.positions.to(dtype),
        "edge_index": batch.edge_index,
        "unit_shifts": shifts,
        "shifts": (shifts[:, None] @ cell[batch.batch[centre]]).squeeze(1),
        "cell": cell.reshape(-1, 3),
        "batch": batch.batch,
        "ptr": torch.cat([torch.zeros(1, dtype=torch.long), batch.n_atoms.cumsum(0)]),
        "head": torch.zeros_like(batch.n_atoms),
    }
    out = model(data, training=True, compute_force=True, compute_stress=True)
    return out["energy"], out["forces"], out["stress"]


def vendor_model(name: str, path: Path) -> Any:
    """Load the model as the vendor does."""
    if name == "mace":
        import mace.modules  # noqa: F401  lets the pickle be read

        return torch.load(path, weights_only=False).float()
    from nequip.model.saved_models.load_utils import load_saved_model
    from nequip.utils.global_state import set_global_state

    set_global_state()
    model = load_saved_model(str(path), compile_mode="eager", model_key="sole_model")
    torch.set_default_dtype(torch.float32)
    return model


def main(name: str, path: Path) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    backbone = (
        backbone_config_class(name)(checkpoint=path, trust_checkpoint=True)
        .create_backbone()
        .train()
    )
    theirs = vendor_model(name, path).train().requires_grad_()
    frames = oxides(8)
    batch = backbone.collate([backbone.graph(atoms) for atoms in frames])
    batch.types = backbone.types[batch.numbers]
    call = mace if name == "mace" else nequip
    optimizers = [torch.optim.AdamW(m.parameters(), lr=1e-6) for m in (backbone, theirs)]

    def step(found: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        sum(value.square().mean() for value in found).backward()
        optimizer.step()

    compare(
        f"{name}, {sum(p.numel() for p in backbone.parameters()):,} parameters",
        lambda: step(
            backbone(batch, forces=True, stress=True).values(),
            optimizers[0],
        ),
        lambda: step(call(theirs, batch), optimizers[1]),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
