"""Batches under TorchSim are what ASE computes of each structure alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk, molecule
from ase.md.verlet import VelocityVerlet
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt

ts = pytest.importorskip("torch_sim")


@pytest.fixture
def copper():
    """Return two structures of different sizes and cells, off their equilibrium."""
    small, large = bulk("Cu", a=3.7), bulk("Cu", cubic=True, a=3.6) * (2, 1, 1)
    for k, atoms in enumerate((small, large)):
        atoms.rattle(0.05, seed=k)
        strain = np.eye(3) + 0.02 * np.random.default_rng(k).normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return [small, large]


def with_references(config):
    model = mt.FinetuneModuleBase(config).eval()
    for z, energy in ((29, -3.25), (8, 1.5), (1, 0.25)):
        model.normalization.references[z] = energy
    return model


@pytest.mark.parametrize("config", [MorseBackboneConfig, mt.CHGNetBackboneConfig])
def test_energies_forces_and_stress_are_those_of_ase(config, copper):
    model = with_references(config())
    state = ts.io.atoms_to_state(copper, torch.device("cpu"), torch.float64)
    found = model.torchsim_model()(state)
    start = 0
    for k, atoms in enumerate(copper):
        atoms.calc = model.ase_calculator()
        part = slice(start, start := start + len(atoms))
        assert found["energy"][k].item() == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
        np.testing.assert_allclose(found["forces"][part], atoms.get_forces(), atol=1e-5)
        np.testing.assert_allclose(found["stress"][k], atoms.get_stress(voigt=False), atol=1e-5)


def test_it_passes_torchsims_own_validation(chgnet):
    from torch_sim.models.interface import validate_model_outputs

    validate_model_outputs(chgnet.torchsim_model(), torch.device("cpu"), torch.float64)


def test_molecules_have_no_stress_and_other_formats_are_kept():
    model = with_references(MorseBackboneConfig())
    pair = [molecule("O2"), molecule("O2")]
    pair[1].positions *= 1.4
    state = ts.io.atoms_to_state(pair, torch.device("cpu"), torch.float32)
    found = model.torchsim_model(dtype=torch.float32)(state)
    assert set(found) == {"energy", "forces"}
    assert {value.dtype for value in found.values()} == {torch.float32}
    (ours,) = model.property_predictor().predict([pair[1]])
    assert found["energy"][1].item() == pytest.approx(ours["energy"], abs=1e-5)


def test_two_systems_in_one_batch_move_as_each_does_under_ase(copper):
    model = with_references(MorseBackboneConfig())
    rng = np.random.default_rng(3)
    for atoms in copper:
        atoms.set_momenta(rng.normal(scale=2.0, size=(len(atoms), 3)))
    # ASE's unit of time, in which a fs is 0.098, is that of eV, Å and u
    step, n_steps = 1.0 * units.fs, 40
    wrapped = model.torchsim_model()
    state = ts.io.atoms_to_state(copper, wrapped.device, wrapped.dtype)
    init, update = ts.integrators.nve(
        wrapped,
        dt=torch.tensor(step, dtype=torch.float64),
        kT=torch.tensor(0.0, dtype=torch.float64),
    )
    moving = init(state)
    moving.momenta = torch.tensor(np.concatenate([a.get_momenta() for a in copper]))
    for _ in range(n_steps):
        moving = update(moving)
    start = 0
    for k, atoms in enumerate(copper):
        began = atoms.positions.copy()
        atoms.calc = model.ase_calculator()
        VelocityVerlet(atoms, step).run(n_steps)
        part = slice(start, start := start + len(atoms))
        assert np.abs(atoms.positions - began).max() > 0.1
        # TorchSim puts atoms back into the cell
        apart = moving.positions[part].numpy() - atoms.positions
        shift = np.linalg.solve(atoms.cell.array.T, apart.T).T
        np.testing.assert_allclose((shift - np.rint(shift)) @ atoms.cell.array, 0, atol=1e-5)
        np.testing.assert_allclose(moving.momenta[part], atoms.get_momenta(), atol=1e-4)
        assert moving.energy[k].item() == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_torchsims_own_loop_takes_it(copper):
    model = with_references(MorseBackboneConfig())
    step = getattr(ts, "nvt_langevin", None) or ts.Integrator.nvt_langevin
    state = ts.integrate(
        copper,
        model.torchsim_model(),
        integrator=step,
        n_steps=3,
        timestep=0.001,
        temperature=300,
    )
    assert state.n_systems == 2
    assert torch.isfinite(state.energy).all()


def test_what_blows_up_is_named(copper):
    model = with_references(MorseBackboneConfig())
    state = ts.io.atoms_to_state(copper, torch.device("cpu"), torch.float64)
    state.positions[2] = float("nan")
    with pytest.raises(mt.DataError):
        model.torchsim_model()(state)
    with torch.no_grad():
        model.backbone.depth.fill_(float("inf"))
    state = ts.io.atoms_to_state(copper, torch.device("cpu"), torch.float64)
    with pytest.raises(mt.DataError, match="system 0: the energy is not finite"):
        model.torchsim_model()(state)


def test_without_torchsim_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch_sim", None)
    monkeypatch.setitem(sys.modules, "torch_sim.models.interface", None)
    monkeypatch.delitem(sys.modules, "mattertune_nb.torchsim", raising=False)
    with pytest.raises(mt.MissingExtraError, match=r"pip install 'mattertune-nb\[torchsim\]'"):
        with_references(MorseBackboneConfig()).torchsim_model()
