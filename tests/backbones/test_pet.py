"""PET: small random models as metatrain saves them, its calculator, and its checkpoints written by us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule
from vendors import (
    assert_equals_vendor,
    assert_export_equals,
    hard_structures,
    tune_resume_and_predict,
)

import mattertune_nb as mt
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.testing import check_backbone
from mattertune_nb.training.outcome.export import save_lammps

pytestmark = pytest.mark.skipif(
    not mt.PETBackboneConfig.is_installed(), reason=mt.PETBackboneConfig.install_hint()
)

NUMBERS = [1, 3, 6, 8, 13, 29, 79]
SMALL = {
    "d_pet": 16,
    "d_head": 8,
    "d_node": 16,
    "d_feedforward": 16,
    "num_heads": 2,
    "cutoff_width": 1.5,  # of random weights a narrower one is too steep for finite differences
}
KINDS = {
    "plain": {},
    "adaptive": {"num_neighbors_adaptive": 12, "cutoff": 5.0},
    "of the first version": {
        "num_neighbors_adaptive": 12,
        "adaptive_cutoff_method": "grid",
        "featurizer_type": "residual",
        "transformer_type": "PostLN",
        "activation": "SiLU",
        "normalization": "LayerNorm",
        "cutoff_function": "Cosine",
    },
    "charged": {"system_conditioning": True},
}


@guarded()
@quiet()
def vendor_file(path, targets=("energy",), **hypers):
    """Write what metatrain's trainer does; energies of isolated atoms are as large as all-electron ones."""
    from metatensor.torch import TensorBlock, TensorMap, load_buffer, save_buffer
    from metatrain.pet import PET
    from metatrain.utils.architectures import get_default_hypers
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info

    torch.manual_seed(0)
    about = {name: get_energy_target_info(name, {"unit": "eV"}) for name in targets}
    defaults = get_default_hypers("pet")["model"]
    model = PET({**defaults, **SMALL, **hypers}, DatasetInfo("angstrom", NUMBERS, about))
    for k, name in enumerate(targets):
        for owner, buffer, values in (
            (
                model.additive_models[0],
                f"{name}_composition_buffer",
                -123.456789012 * np.arange(1, 8) + k,
            ),
            (model.scaler, f"{name}_scaler_buffer", np.array([1.7 + k])),
        ):
            before = load_buffer(getattr(owner, buffer))
            block = before.block()
            filled = TensorBlock(
                torch.tensor(values).reshape(block.values.shape),
                block.samples,
                block.components,
                block.properties,
            )
            owner.register_buffer(buffer, save_buffer(TensorMap(before.keys, [filled])))
    if model.system_conditioning is not None:
        torch.nn.init.normal_(model.system_conditioning.project[-1].weight, std=0.1)
    checkpoint = model.get_checkpoint()
    torch.save(checkpoint | {"epoch": 1, "best_epoch": 1}, path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return vendor_file(tmp_path_factory.mktemp("pet") / "model.ckpt")


def config_of(path, **fields):
    return mt.PETBackboneConfig(checkpoint=path, **{"trust_checkpoint": True} | fields)


@pytest.mark.parametrize("kind", KINDS)
def test_conforms_but_for_turning(kind, tmp_path):
    backbone_config_class("pet")  # its entry point is installed
    measured = check_backbone(config_of(vendor_file(tmp_path / "model.ckpt", **KINDS[kind])))
    assert set(measured) == {"equivariant"}
    assert "crystal: forces off by" in measured["equivariant"]


@pytest.mark.parametrize("kind", KINDS)
def test_hard_structures_as_the_vendor(kind, tmp_path):
    config = config_of(vendor_file(tmp_path / "model.ckpt", **KINDS[kind]))
    model, calculator = mt.FinetuneModuleBase(config).eval(), config.vendor_calculator()
    for atoms in hard_structures().values():
        assert_equals_vendor(model, calculator, atoms)


def energy_of(model, atoms):
    return model.property_predictor().predict([atoms], ["energy"])[0]["energy"]


def test_a_tuned_model_goes_on_is_used_without_the_vendors_file_and_is_exported(tmp_path):
    tune_resume_and_predict(config_of(vendor_file(tmp_path / "model.ckpt")), tmp_path)
    run = mt.Run(tmp_path / "tuned")
    exported = config_of(run.export()).vendor_calculator()
    ethanol = molecule("CH3CH2OH", vacuum=6, pbc=True)
    (ours,) = run.model().property_predictor().predict([ethanol])
    ethanol.calc = exported
    assert ours["energy"] == pytest.approx(ethanol.get_potential_energy(), abs=1e-4)
    assert ours["forces"] == pytest.approx(ethanol.get_forces(), abs=1e-4)


def test_an_exported_file_is_loaded_by_the_vendor_with_the_references_in_it(tmp_path):
    assert_export_equals(config_of(vendor_file(tmp_path / "model.ckpt")), tmp_path / "tuned.pt")


@pytest.mark.parametrize("target", ["energy", "energy/r2scan"])
def test_the_vendors_command_makes_of_an_export_what_computes_the_same(target, tmp_path):
    from metatomic_ase import MetatomicCalculator

    names = ["energy"] if target == "energy" else ["energy/pbe", target]
    config = config_of(vendor_file(tmp_path / "model.ckpt", names), target=target)
    model = mt.FinetuneModuleBase(config).eval()
    oxide = hard_structures()["oxide"]
    model.normalization.references[oxide.numbers] = 7.25
    save_lammps(model, tmp_path / "tuned.pt")
    first, *lines = (tmp_path / "tuned.in").read_text(encoding="utf-8").splitlines()
    command = first.partition(": ")[2].split()
    assert command[0] == "mtt"
    command[0] = str(Path(sys.executable).with_name("mtt"))
    subprocess.run(command, check=True, cwd=tmp_path)
    (style,) = (line.split()[1:] for line in lines if line.startswith("pair_style"))
    assert style[:2] == ["metatomic", "tuned.metatomic.pt"]
    variant = dict(zip(style[2::2], style[3::2], strict=True)).get("variant/energy")
    oxide.calc = MetatomicCalculator(
        str(tmp_path / style[1]),
        device="cpu",
        variants={"energy": variant} if variant else None,
        uncertainty_threshold=None,
    )
    (ours,) = model.property_predictor().predict([oxide])
    # in float32, as the vendor exports it: seven digits of thousands of eV
    assert ours["energy"] == pytest.approx(oxide.get_potential_energy(), rel=3e-7)
    assert ours["forces"] == pytest.approx(oxide.get_forces(), abs=1e-5)
    assert ours["stresses"] == pytest.approx(oxide.get_stress(), abs=1e-5)


def test_large_energies_of_atoms_lose_no_digits_in_float32(file):
    config, oxide = config_of(file), hard_structures()["oxide"]
    oxide.calc = config.vendor_calculator()  # in float64
    energy = energy_of(mt.FinetuneModuleBase(config).eval(), oxide)
    assert abs(energy) > 1000
    assert energy == pytest.approx(oxide.get_potential_energy(), abs=1e-4)


def test_one_of_several_energies_is_chosen(tmp_path):
    path = vendor_file(tmp_path / "two.ckpt", ("energy/pbe", "energy/r2scan"))
    oxide = hard_structures()["oxide"]
    energies = []
    for target in ("energy/pbe", "energy/r2scan"):
        config = config_of(path, target=target)
        model = mt.FinetuneModuleBase(config).eval()
        assert_equals_vendor(model, config.vendor_calculator(), oxide)
        energies.append(energy_of(model, oxide))
    assert abs(energies[0] - energies[1]) > 1
    with pytest.raises(
        mt.ConfigError, match=r"target: this PET has energy/pbe, energy/r2scan; set"
    ):
        config_of(path).create_backbone()


def test_charge_and_spin_come_from_the_frame_or_from_the_config(tmp_path):
    path = vendor_file(tmp_path / "charged.ckpt", system_conditioning=True)
    water, anion = molecule("H2O"), molecule("H2O")
    anion.info.update(charge=-1, spin=2)
    model = mt.FinetuneModuleBase(config_of(path)).eval()
    plain, charged = (energy_of(model, atoms) for atoms in (water, anion))
    assert plain != charged
    other = mt.FinetuneModuleBase(config_of(path, charge=-1, spin=2)).eval()
    assert energy_of(other, water) == charged
    save_lammps(model, tmp_path / "neutral.pt")
    with pytest.raises(mt.ConfigError, match=r"LAMMPS tells .* has charge -1, spin 2\."):
        save_lammps(other, tmp_path / "charged.pt")
    boxed = molecule("H2O", vacuum=6, pbc=True)
    boxed.info.update(anion.info)
    boxed.calc = config_of(path).vendor_calculator()
    assert boxed.get_potential_energy() == pytest.approx(charged, abs=1e-4)
    anion.info["charge"] = 0.5
    with pytest.raises(
        mt.DataError, match=r"frame 0: its 'charge' is 0\.5, and has to be a whole number"
    ):
        energy_of(model, anion)


def test_a_file_is_loaded_only_after_it_was_trusted(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    torch.save({"architecture_name": Hostile()}, tmp_path / "hostile.ckpt")
    config = config_of(tmp_path / "hostile.ckpt", trust_checkpoint=False)
    with pytest.raises(mt.ConfigError, match="set trust_checkpoint: true"):
        config.create_backbone()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("hypers", "message"),
    [
        ({"zbl": True}, "has ZBL, which cannot be tuned here"),
        ({"d_pet": None}, "is not a PET checkpoint that can be loaded here"),
    ],
)
def test_a_file_that_cannot_be_tuned_is_told(tmp_path, hypers, message):
    path = tmp_path / "model.ckpt"
    if hypers.get("d_pet", 1) is None:
        torch.save({"architecture_name": "pet"}, path)
    else:
        vendor_file(path, **hypers)
    with pytest.raises(mt.ConfigError, match=message):
        config_of(path).create_backbone()


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(monkeypatch):
    import huggingface_hub

    def unreachable(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    config = mt.PETBackboneConfig(trust_checkpoint=True)
    with pytest.raises(mt.ConfigError, match=r"get pet-mad-s-v1\.6\.0\.ckpt from https://hugg"):
        config.create_backbone()


def test_names_are_those_of_the_vendor():
    from upet._version import UPET_AVAILABLE_MODELS

    assert set(mt.PETBackboneConfig.weights()) <= set(UPET_AVAILABLE_MODELS)


def test_loading_leaves_the_process_as_it_was(file):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    config_of(file).create_backbone()
    assert torch.get_default_dtype() == torch.float32
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
