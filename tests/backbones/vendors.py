"""What the tests of both vendors share: hard structures, and no network."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from mattertune_nb.model.freezing import freeze_unreached
from mattertune_nb.testing.structures import in_a_box


def hard_structures() -> dict[str, Atoms]:
    """Return structures that :func:`check_backbone` does not use."""
    oxide = bulk("LiO", "rocksalt", a=4.1, cubic=True)
    oxide.rattle(0.1, seed=4)
    outside = oxide.copy()
    outside.positions += np.array([3.0, -2.0, 1.0]) @ outside.cell.array
    slab = fcc111("Al", (2, 2, 3), vacuum=7, periodic=False)
    slab.rattle(0.05, seed=5)
    wire = Atoms("Cu2", [[0, 0, 0], [0.3, 2.3, 0.2]], cell=[0, 0, 2.6], pbc=[False, False, True])
    ethanol = molecule("CH3CH2OH")
    far = molecule("H2O") + Atoms("O", [[0, 0, 30]])
    hydrogen = Atoms("H", cell=[2.2, 2.3, 2.4], pbc=True)
    return {
        "oxide": oxide,
        "atoms outside the cell": outside,
        "slab": slab,
        "wire without two vectors": wire,
        "molecule": ethanol,
        "molecule in a cell that is not periodic": Atoms(ethanol, cell=[4, 4, 4]),
        "an atom out of reach": far,
        "one atom in a cell of 2 Å": hydrogen,
        "one atom alone": Atoms("O"),
    }


def assert_equals_vendor(model, calculator, atoms: Atoms) -> None:
    """Compare with the vendor's calculator, in a large box where a direction is not periodic."""
    (ours,) = model.property_predictor().predict([atoms])
    theirs = atoms.copy() if atoms.pbc.all() else in_a_box(atoms, model.backbone.cutoff)
    theirs.calc = calculator
    n = len(atoms)
    assert ours["energy"] / n == pytest.approx(theirs.get_potential_energy() / n, abs=1e-5)
    assert ours["forces"] == pytest.approx(theirs.get_forces(), abs=1e-4)
    assert ("stresses" in ours) == bool(atoms.pbc.all())
    if "stresses" in ours:
        assert ours["stresses"] == pytest.approx(theirs.get_stress(), abs=1e-5)


def training_gradients(backbone) -> dict[str, torch.Tensor]:
    """Return what a step on energies, forces and stresses would change, in float64."""
    freeze_unreached(backbone, ["energy"])
    backbone = backbone.double().train()
    structures = hard_structures()
    batch = backbone.collate(
        [backbone.graph(structures[k]) for k in ("oxide", "an atom out of reach")]
    )
    out = backbone(batch, forces=True, stress=True)
    loss = out["energy"].square().mean() + out["forces"].square().mean()
    (loss + out["stresses"][0].square().mean()).backward()
    return {n: p.grad for n, p in backbone.named_parameters() if p.requires_grad}


def assert_equal_gradients(
    ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], rtol: float
) -> None:
    """Compare by parameter, each on the scale of its own."""
    assert list(ours) == list(theirs)
    for name, gradient in theirs.items():
        scale = float(gradient.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(ours[name], gradient, rtol=0, atol=rtol * scale, msg=name)


class NoNetwork(socket.socket):
    """A socket that reaches nothing."""

    def connect(self, address):
        msg = f"asked for the network: {address}"
        raise AssertionError(msg)
