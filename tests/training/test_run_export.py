"""Exported models are loaded by their vendors' own calculators and give the same numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from ase.build import bulk

import mattertune_nb as mt
from mattertune_nb.training.outcome.export import export, save_lammps, save_vendor
from mattertune_nb.training.written_file import WrittenFile

REFERENCES = {14: -1.25, 8: 0.75}
"""eV, of silicon and oxygen."""


@pytest.fixture
def quartz_like():
    """Return a small strained crystal of two elements without symmetry."""
    atoms = bulk("SiO", "zincblende", a=4.6, cubic=True)
    atoms.rattle(0.08, seed=1)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02), scale_atoms=True)
    return atoms


def tuned(config):
    """Return a model with other weights and reference energies than its vendor's."""
    model = mt.FinetuneModuleBase(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter *= 1 + 0.01 * torch.randn(parameter.shape, generator=generator)
        for z, energy in REFERENCES.items():
            model.normalization.references[z] = energy
            model.normalization.first_references[z] = energy
    return model


def compare(ours, theirs, atoms):
    """Compare energy, forces and stress of two calculators."""
    found = []
    for calculator in (ours, theirs):
        copy = atoms.copy()
        copy.calc = calculator
        found.append((copy.get_potential_energy(), copy.get_forces(), copy.get_stress()))
    for one, other, scale in zip(*found, (len(atoms), 1, 1), strict=True):
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)


def test_chgnets_file_is_loaded_by_chgnets_calculator(quartz_like, tmp_path, capsys):
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    model = tuned(mt.CHGNetBackboneConfig())
    save_vendor(model, tmp_path / "model.pth")
    assert not capsys.readouterr().out
    vendor = CHGNetCalculator(CHGNet.from_file(tmp_path / "model.pth"), use_device="cpu")
    compare(model.ase_calculator(), vendor, quartz_like)


@pytest.mark.parametrize(
    "settings", [{}, {"pretrained_model": "7net-mf-0", "modality": "R2SCAN"}], ids=["0", "mf-0"]
)
def test_sevennets_checkpoint_is_loaded_by_sevennets_calculator(quartz_like, settings, tmp_path):
    pytest.importorskip("sevenn")
    from sevenn.calculator import SevenNetCalculator

    model = tuned(mt.SevenNetBackboneConfig(**settings))
    save_vendor(model, tmp_path / "model.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vendor = SevenNetCalculator(
            str(tmp_path / "model.pth"), device="cpu", modal=settings.get("modality")
        )
    compare(model.ase_calculator(), vendor, quartz_like)


def test_lammps_gets_torchscript_with_the_energies_and_forces_of_the_model(quartz_like, tmp_path):
    pytest.importorskip("sevenn")
    model = tuned(mt.SevenNetBackboneConfig())
    save_lammps(model, tmp_path / "model.pt")
    graph = model.backbone.graph(quartz_like)
    batch = model.backbone.collate([graph])
    vectors = batch.edge_vectors(batch.positions, batch.cell).float().requires_grad_()
    # what the pair style hands over
    given = {
        "x": model.backbone.element_index[batch.numbers],
        "edge_index": batch.edge_index,
        "edge_vec": vectors,
        "num_atoms": batch.n_atoms,
        "nlocal": batch.n_atoms,
    }
    energy = torch.jit.load(tmp_path / "model.pt")(given)["inferred_total_energy"].squeeze()
    (pull,) = torch.autograd.grad(energy, vectors)
    forces = torch.zeros(len(quartz_like), 3).index_add(0, batch.edge_index[0], pull)
    forces = forces.index_add(0, batch.edge_index[1], -pull)
    (ours,) = model.property_predictor().predict([quartz_like])
    assert float(energy) == pytest.approx(ours["energy"], abs=1e-5 * len(quartz_like))
    np.testing.assert_allclose(forces.numpy(), ours["forces"], atol=1e-5)
    lines = (tmp_path / "model.in").read_text(encoding="utf-8")
    assert "pair_style    e3gnn\n" in lines
    assert "pair_coeff    * * model.pt " in lines


def test_a_run_is_exported_and_tuned_again_from_what_was_written(copper_xyz, tmp_path, capsys):
    dataset = mt.XYZDatasetConfig(src=copper_xyz)
    config = mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(),
        data=mt.AutoSplitDataModuleConfig(dataset=dataset),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(root=tmp_path, name="run"),
    )
    result = mt.MatterTuner(config).tune()
    capsys.readouterr()
    random = torch.get_rng_state()
    written = result.run.export()
    assert not capsys.readouterr().out, "the vendor talks"
    assert torch.equal(torch.get_rng_state(), random), "the vendor draws random weights"
    assert isinstance(written, WrittenFile)
    assert written == result.run.path / "chgnet.pth"
    again = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(checkpoint=written)).eval()
    (atoms,) = [dataset.create_dataset()[0]]
    energies = [m.property_predictor().predict([atoms])[0]["energy"] for m in (result.model, again)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)
    (tmp_path / "folder").mkdir()
    for place, message in (
        (tmp_path / "folder", r"cannot be written \(Is a directory\)"),
        (tmp_path / "nowhere" / "a.pth", "the folder does not exist"),
        (result.run.directory.config_file, "a file of the run itself"),
        (result.run.directory.best, "a file of the run itself"),
    ):
        with pytest.raises(mt.DataError, match=message):
            result.run.export(path=place)
    with pytest.raises(mt.ConfigError, match=r"Name it .*model\.safetensors\."):
        result.run.export("safetensors", tmp_path / "model.pt")
    with pytest.raises(mt.RunError, match="Give the directory of its run"):
        mt.Run(result.run.directory.best)
    with pytest.raises(mt.ConfigError, match=r"unknown format 'vendr'.*'vendor'"):
        export(result.run, "vendr")
    with pytest.raises(mt.ConfigError, match=r"no pair style of LAMMPS.*ase_calculator\(\)"):
        result.run.export("lammps")
