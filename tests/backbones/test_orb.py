"""ORB: small random models that its own code builds and saves, and its own numbers for them."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from ase.build import bulk, fcc111, molecule
from ase.io import write
from vendors import (
    assert_equals_vendor,
    assert_export_equals,
    hard_structures,
    tune_resume_and_predict,
)

import mattertune_nb as mt
from mattertune_nb.backbones.orb.config import FACTS
from mattertune_nb.testing import check_backbone

pytestmark = pytest.mark.skipif(
    not mt.ORBBackboneConfig.is_installed(), reason=mt.ORBBackboneConfig.install_hint()
)

SIZES = {
    "latent_dim": 24,
    "base_mlp_hidden_dim": 32,
    "head_mlp_hidden_dim": 16,
    "num_message_passing_steps": 2,
}
CHARGED = {"has_charge_spin_cond": True, "has_stress": False}
ALL_DIRECT = [
    mt.EnergyPropertyConfig(),
    mt.ForcesPropertyConfig(conservative=False),
    mt.StressesPropertyConfig(conservative=False),
]
KINDS = {
    "v3-conservative-20-omat": {},
    "v3-conservative-inf-omat": {},
    "v3-conservative-omol": CHARGED,
    "v3-direct-20-omat": {},
    "v3-direct-inf-omat": {},
    "v3-direct-omol": CHARGED,
    "v2": {},
}


def saved(kind: str, folder, **fields):
    """Return the config of a random model that the vendor's code built and saved."""
    from orb_models.forcefield import pretrained as vendor

    torch.manual_seed(1)
    name = "_".join(kind.split("-")[:2])
    make = getattr(vendor, f"orb_{name}_architecture")
    sizes = {"num_message_passing_steps": 1} if kind == "v2" else SIZES
    model = make(device="cpu", **sizes, **KINDS[kind])
    for name, buffer in model.named_buffers():
        # what the vendor learns of the labels in training
        if "bn.running" in name and "energy" not in name:
            buffer.fill_(0.01 if name.endswith("mean") else 0.3)
    torch.save(model.state_dict(), folder / "model.ckpt")
    cls = mt.ORBBackboneConfig if "conservative" in kind else mt.ORBDirectBackboneConfig
    if cls is mt.ORBDirectBackboneConfig:
        fields.setdefault("properties", ALL_DIRECT[:2] if "omol" in kind else ALL_DIRECT)
    return cls(checkpoint=folder / "model.ckpt", pretrained_model=f"orb-{kind}", **fields)


@pytest.mark.parametrize("kind", KINDS)
def test_conforms_but_for_what_it_says_it_lacks(kind, tmp_path):
    config = saved(kind, tmp_path)
    measured = check_backbone(config)
    assert set(measured) == set(config.lacks) == {"equivariant", "extensive", "smooth"}
    assert "crystal: forces off by" in measured["equivariant"]


def test_a_random_model_is_not_extensive(tmp_path):
    measured = check_backbone(saved("v3-conservative-inf-omat", tmp_path))
    assert "small cell repeated: energy off by" in measured["extensive"]


def structures():
    """Return hard structures that are periodic everywhere or nowhere, without neighbours in a tie."""
    found = {k: a for k, a in hard_structures().items() if a.pbc.all() or not a.pbc.any()}
    return {
        k: a for k, a in found.items() if k not in {"one atom alone", "one atom in a cell of 2 Å"}
    }


@pytest.mark.parametrize("kind", ["v3-conservative-20-omat", "v3-conservative-omol", "v2"])
def test_hard_structures_as_the_vendor(kind, tmp_path):
    config = saved(kind, tmp_path, properties=ALL_DIRECT if kind == "v2" else ALL_DIRECT[:1])
    model, calculator = mt.FinetuneModuleBase(config).eval(), config.vendor_calculator()
    for name, atoms in structures().items():
        if kind == "v2" and not atoms.pbc.all():
            continue  # its forces of molecules have no torque, those in a box have
        if kind == "v3-conservative-omol":
            (ours,) = model.property_predictor().predict([atoms], ["energy", "forces"])
            atoms.calc = calculator
            n = len(atoms)
            assert ours["energy"] / n == pytest.approx(atoms.get_potential_energy() / n, abs=1e-5)
            assert ours["forces"] == pytest.approx(atoms.get_forces(), abs=1e-4), name
        else:
            assert_equals_vendor(model, calculator, atoms)


@pytest.mark.parametrize("kind", ["v3-conservative-20-omat", "v3-direct-20-omat", "v2"])
def test_a_tuned_model_goes_on_and_is_used_without_the_vendors_file(kind, tmp_path):
    properties = ALL_DIRECT[:2] if "conservative" not in kind else mt.ORBBackboneConfig().properties
    tune_resume_and_predict(saved(kind, tmp_path, properties=properties), tmp_path)


@pytest.mark.parametrize("kind", ["v3-conservative-20-omat", "v3-direct-20-omat", "v2"])
def test_an_exported_file_is_loaded_by_the_vendor_with_the_references_in_it(kind, tmp_path):
    assert_export_equals(saved(kind, tmp_path), tmp_path / "exported.ckpt")


def test_charge_and_spin_come_from_the_file_or_from_the_config(tmp_path):
    water, other = molecule("H2O"), molecule("H2O")
    other.info.update(charge=-1, spin=2)
    write(tmp_path / "frames.xyz", [water, other])
    frames = mt.open_dataset(tmp_path / "frames.xyz")
    neutral = mt.FinetuneModuleBase(saved("v3-conservative-omol", tmp_path)).eval()
    anion = mt.FinetuneModuleBase(saved("v3-conservative-omol", tmp_path, charge=-1, spin=2)).eval()
    plain, charged = (r["energy"] for r in neutral.property_predictor().predict(frames))
    assert plain != charged
    config = saved("v3-conservative-omol", tmp_path)
    for atoms, energy in ((water, plain), (other, charged)):
        atoms.calc = config.vendor_calculator()
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)
    assert [r["energy"] for r in anion.property_predictor().predict(frames)] == [charged, charged]
    water.calc = neutral.ase_calculator()
    assert water.get_potential_energy() == pytest.approx(plain, abs=1e-6)
    water.info.update(charge=-1, spin=2)
    assert water.get_potential_energy() == pytest.approx(charged, abs=1e-6)


def test_a_charge_that_is_no_number_is_named(tmp_path):
    atoms = molecule("H2O")
    atoms.info["charge"] = "neutral"
    model = mt.FinetuneModuleBase(saved("v3-conservative-omol", tmp_path))
    with pytest.raises(mt.DataError, match=r"frame 0: its 'charge' is 'neutral', and has to be a"):
        model.property_predictor().predict([atoms])


def test_a_slab_is_refused_with_what_to_do(tmp_path):
    model = mt.FinetuneModuleBase(saved("v3-conservative-20-omat", tmp_path))
    slab = fcc111("Al", (1, 1, 2), vacuum=8)
    with pytest.raises(
        mt.DataError, match=r"frame 0: is periodic in only some .* Set pbc to true in all three"
    ):
        model.property_predictor().predict([slab])


@pytest.mark.parametrize("kind", ["v3-conservative-20-omat", "v3-conservative-inf-omat"])
def test_edges_are_those_that_the_vendor_keeps(kind, tmp_path):
    from orb_models.forcefield.atomic_system import SystemConfig, ase_atoms_to_atom_graphs

    backbone = saved(kind, tmp_path).create_backbone()
    most = 20 if "20" in kind else 120
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.rattle(0.1, seed=3)
    theirs = ase_atoms_to_atom_graphs(
        atoms, SystemConfig(6.0, most), device="cpu", wrap=False, output_dtype=torch.float64
    )
    ours = backbone.graph(atoms)
    edges = torch.cat([ours.edge_index.T, ours.cell_shifts], dim=1)
    their_edges = torch.stack([theirs.senders, theirs.receivers], dim=1)
    their_edges = torch.cat([their_edges, theirs.edge_features["unit_shifts"].long()], dim=1)
    assert len(edges) == len(their_edges)
    assert torch.equal(edges.unique(dim=0), their_edges.unique(dim=0))
    assert torch.bincount(ours.edge_index[0]).max() <= most


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(monkeypatch):
    import cached_path

    def unreachable(address):
        raise ConnectionError(address)

    monkeypatch.setattr(cached_path, "cached_path", unreachable)
    with pytest.raises(mt.ConfigError) as error:
        mt.ORBDirectBackboneConfig(pretrained_model="orb-v2").create_backbone()
    assert "get orb-v2-20241011.ckpt from https://orbitalmaterials-public" in str(error.value)
    assert "give its path as model.checkpoint" in str(error.value)


def test_addresses_and_sizes_are_those_of_the_vendors_code():
    import inspect

    from orb_models.forcefield import pretrained as vendor

    for name, facts in FACTS.items():
        load = vendor.ORB_PRETRAINED_MODELS[name]
        assert inspect.signature(load).parameters["weights_path"].default == facts.download.page
    counts = {
        "orb-v3-conservative-20-omat": "v3_conservative",
        "orb-v3-direct-20-omat": "v3_direct",
    }
    for name, kind in (counts | {"orb-v2": "v2"}).items():
        model = getattr(vendor, f"orb_{kind}_architecture")(device="cpu")
        assert sum(p.numel() for p in model.parameters()) == FACTS[name].parameters


def test_a_model_of_the_other_kind_is_told_by_its_backbone(tmp_path):
    file = saved("v3-direct-20-omat", tmp_path).checkpoint
    with pytest.raises(mt.ConfigError, match="belongs to the backbone orb-direct"):
        mt.ORBBackboneConfig(checkpoint=file).create_backbone()


def test_a_head_that_the_weights_have_not_is_refused(tmp_path):
    config = saved("v3-direct-omol", tmp_path, properties=ALL_DIRECT)
    with pytest.raises(mt.ConfigError, match="has no head for stresses; remove it"):
        config.create_backbone()


def test_a_file_that_could_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    torch.save({"heads.energy": Hostile()}, tmp_path / "hostile.ckpt")
    with pytest.raises(mt.ConfigError, match="contains no matching ORB weights that can be loaded"):
        mt.ORBBackboneConfig(checkpoint=tmp_path / "hostile.ckpt").create_backbone()
    assert not (tmp_path / "owned").exists()


def test_loading_leaves_the_process_as_it_was(tmp_path):
    torch.set_float32_matmul_precision("highest")
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    saved("v3-conservative-20-omat", tmp_path).create_backbone()
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_default_dtype() == torch.float32
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
