"""What the tests of both vendors share: hard structures, and no network."""

from __future__ import annotations

import socket
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

import mattertune_nb as mt
from mattertune_nb.model.freezing import freeze_unreached
from mattertune_nb.testing.structures import in_a_box
from mattertune_nb.training.outcome.export import save_vendor

STRAIN = np.array([[0.02, 0.01, 0.0], [0.0, -0.015, 0.02], [0.01, 0.0, 0.01]])


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


def assert_export_equals(config, path: Path) -> None:
    """Compare a model, reference energies added, with the vendor's calculator of its export, to 1e-5."""
    model = mt.FinetuneModuleBase(config).eval()
    atoms = hard_structures()["oxide"]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + STRAIN), scale_atoms=True)
    model.normalization.references[[3, 8]] = torch.tensor([7.25, -3.5]).double()
    save_vendor(model, path)
    own = {"checkpoint": path}
    if hasattr(config, "trust_checkpoint"):  # the vendor's format may be one that can run code
        own["trust_checkpoint"] = True
    (ours,) = model.property_predictor().predict([atoms])
    atoms.calc = config.model_copy(update=own).vendor_calculator()
    n = len(atoms)
    assert ours["energy"] / n == pytest.approx(atoms.get_potential_energy() / n, abs=1e-5)
    assert ours["forces"] == pytest.approx(atoms.get_forces(), abs=1e-5)
    assert ours["stresses"] == pytest.approx(atoms.get_stress(), abs=1e-5)


def tune_resume_and_predict(config, folder: Path) -> None:
    """Tune a backbone for two epochs, resume for a third, and compare what then predicts.

    The vendor's own file is removed in between: a run needs none.
    """
    frames = mt.demo_data("train")
    data = mt.XYZDatasetConfig(src=frames, index=":12")
    tuner = mt.MatterTunerConfig(
        model=config,
        data=mt.AutoSplitDataModuleConfig(dataset=data, batch_size=4),
        trainer=mt.TrainerConfig(max_epochs=2, accelerator="cpu"),
        run=mt.RunConfig(root=folder, name="tuned"),
    )
    run = mt.MatterTuner(tuner).tune().run
    config.checkpoint.rename(folder / "moved")
    tuner.trainer.max_epochs = 3
    mt.MatterTuner(tuner).resume(run.path)
    assert run.status().epoch == 3
    atoms = ase.io.read(frames, "20")
    (tuned,) = run.model().property_predictor().predict([atoms])
    atoms.calc = mt.FinetuneModuleBase.load_from_checkpoint(run.path).ase_calculator()
    assert atoms.get_potential_energy() == pytest.approx(tuned["energy"], abs=1e-6)
    assert atoms.get_forces() == pytest.approx(tuned["forces"], abs=1e-6)
