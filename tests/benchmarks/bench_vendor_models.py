"""A training step beside one on the vendor's own model: ``bench_vendor_models.py BACKBONE FILE``.

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


def mattersim(model: Any, batch: Any) -> Any:
    """Return what the vendor's trainer calls, as above; stresses are in GPa."""
    from mattersim.forcefield import Potential

    edges, angles = batch.edge_index, batch.extra["angles"]
    edges_of = torch.bincount(batch.batch[edges[0]], minlength=len(batch))
    data = {
        "atom_pos": batch.positions.float(),
        "cell": batch.cell.float(),
        "pbc_offsets": batch.cell_shifts.float(),
        "atom_attr": batch.numbers[:, None].float(),
        "edge_index": edges,
        "three_body_indices": angles,
        "bond_index_bias": torch.zeros_like(angles[:, :1]),
        "three_body_edge_map": angles[:, 0],
        "num_bonds": edges_of,
        "num_triple_ij": torch.bincount(angles[:, 0], minlength=edges.shape[1]),
        "num_atoms": batch.n_atoms,
        "num_graphs": torch.tensor(len(batch)),
        "batch": batch.batch,
        "total_num_atoms": len(batch.numbers),
        "total_num_bonds": edges.shape[1],
    }
    out = Potential(model, optimizer=torch.optim.SGD([torch.zeros(1)]), device="cpu")(data)
    return out["total_energy"], out["forces"], out["stresses"]


CALLS = {"nequip": nequip, "allegro": nequip, "mace": mace, "mattersim": mattersim}


def vendor_model(name: str, path: Path) -> Any:
    """Load the model as the vendor does."""
    if name == "mace":
        import mace.modules  # noqa: F401  lets the pickle be read

        return torch.load(path, weights_only=False).float()
    if name == "mattersim":
        from mattersim.forcefield import Potential

        return Potential.from_checkpoint(str(path), device="cpu", load_training_state=False).model
    from nequip.model.saved_models.load_utils import load_saved_model
    from nequip.utils.global_state import set_global_state

    set_global_state()
    model = load_saved_model(str(path), compile_mode="eager", model_key="sole_model")
    torch.set_default_dtype(torch.float32)
    return model


def main(name: str, path: Path) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    cls = backbone_config_class(name)
    trust = {"trust_checkpoint": True} if "trust_checkpoint" in cls.model_fields else {}
    backbone = cls(checkpoint=path, **trust).create_backbone().train()
    theirs = vendor_model(name, path).train().requires_grad_()
    frames = oxides(8)
    batch = backbone.collate([backbone.graph(atoms) for atoms in frames])
    if hasattr(backbone, "types"):
        batch.types = backbone.types[batch.numbers]
    call = CALLS[name]
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
