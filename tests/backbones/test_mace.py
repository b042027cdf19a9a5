"""MACE: small random models as the vendor pickles them, the vendor's calculator, and plain files."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase.build import molecule
from lightning.pytorch import Trainer
from typer.testing import CliRunner
from vendors import assert_equals_vendor, assert_export_equals, hard_structures

import mattertune_nb as mt
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.cli import app
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.testing import check_backbone
from mattertune_nb.training.outcome.export import save_lammps

pytestmark = pytest.mark.skipif(
    not mt.MACEBackboneConfig.is_installed(), reason=mt.MACEBackboneConfig.install_hint()
)

NUMBERS = [1, 3, 6, 8, 13, 29]


@guarded()
@quiet()
def vendor_file(path, heads=None, dtype=torch.float64, **fields):
    """Write what the vendor's trainer does; energies of isolated atoms are as large as all-electron ones."""
    from mace.modules import ScaleShiftMACE, interaction_classes
    from mace.modules.models import o3

    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    shape = (len(NUMBERS),) if heads is None else (len(heads), len(NUMBERS))
    block = interaction_classes["RealAgnosticResidualInteractionBlock"]
    settings = {
        "r_max": 4.0,
        "num_bessel": 4,
        "num_polynomial_cutoff": 5,
        "max_ell": 2,
        "interaction_cls": block,
        "interaction_cls_first": block,
        "num_interactions": 2,
        "num_elements": len(NUMBERS),
        "hidden_irreps": o3.Irreps("8x0e+8x1o"),
        "MLP_irreps": o3.Irreps("8x0e"),
        "atomic_energies": -123.456789012 * np.arange(1, np.prod(shape) + 1).reshape(shape),
        "avg_num_neighbors": 15.0,
        "atomic_numbers": NUMBERS,
        "correlation": 3,
        "gate": torch.nn.functional.silu,
        "radial_MLP": [8, 8],
        "heads": heads,
        "atomic_inter_scale": 1.3 if heads is None else [1.3, 0.7],
        "atomic_inter_shift": 0.2 if heads is None else [0.2, 0.1],
        "pair_repulsion": True,
        "distance_transform": "Agnesi",
    }
    torch.save(ScaleShiftMACE(**settings | fields), path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return vendor_file(tmp_path_factory.mktemp("mace") / "one.model")


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory):
    return vendor_file(tmp_path_factory.mktemp("mace") / "two.model", ["PBE", "r2SCAN"])


def config_of(path, **fields):
    return mt.MACEBackboneConfig(checkpoint=path, **{"trust_checkpoint": True} | fields)


def save(model, path):
    trainer = Trainer(logger=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def energy_of(model, atoms):
    return model.property_predictor().predict([atoms], ["energy"])[0]["energy"]


def test_hard_structures_as_the_vendor(file):
    model, calculator = mt.FinetuneModuleBase(config_of(file)).eval(), None
    calculator = config_of(file).vendor_calculator()
    for atoms in hard_structures().values():
        assert_equals_vendor(model, calculator, atoms)


@pytest.mark.parametrize(
    "fields",
    [
        {"pair_repulsion": False, "distance_transform": "None", "num_interactions": 3},
        {"hidden_irreps": "4x0e + 4x1o + 4x2e", "correlation": 2, "dtype": torch.float32},
    ],
    ids=["plain", "of higher order, in float32"],
)
def test_other_architectures_as_the_vendor(tmp_path, fields):
    from mace.modules.models import o3

    if "hidden_irreps" in fields:
        fields = fields | {"hidden_irreps": o3.Irreps(fields["hidden_irreps"])}
    config = config_of(vendor_file(tmp_path / "other.model", **fields))
    model = mt.FinetuneModuleBase(config).eval()
    assert_equals_vendor(model, config.vendor_calculator(), hard_structures()["oxide"])


def test_conformance(two_heads):
    backbone_config_class("mace")  # its entry point is installed
    check_backbone(config_of(two_heads, head="r2SCAN"))


def test_large_energies_of_atoms_lose_no_digits_in_float32(file):
    config, oxide = config_of(file), hard_structures()["oxide"]
    oxide.calc = config.vendor_calculator()  # in float64
    energy = energy_of(mt.FinetuneModuleBase(config).eval(), oxide)
    assert abs(energy) > 1000
    assert energy == pytest.approx(oxide.get_potential_energy(), abs=1e-5)


def test_a_head_answers_for_itself(two_heads):
    oxide = hard_structures()["oxide"]
    energies = []
    for head in ("PBE", "r2SCAN"):
        config = config_of(two_heads, head=head)
        model = mt.FinetuneModuleBase(config).eval()
        assert_equals_vendor(model, config.vendor_calculator(), oxide)
        energies.append(energy_of(model, oxide))
    assert abs(energies[0] - energies[1]) > 1


def test_a_frame_chooses_its_head_and_learns_with_it(two_heads):
    frames = [hard_structures()["oxide"].copy() for _ in range(2)]
    frames[1].info["head"] = "PBE"
    model = mt.FinetuneModuleBase(config_of(two_heads, head="r2SCAN")).eval()
    found = [r["energy"] for r in model.property_predictor(batch_size=2).predict(frames)]
    for energy, head in zip(found, ("r2SCAN", "PBE"), strict=True):
        frames[0].calc = config_of(two_heads, head=head).vendor_calculator()
        assert energy == pytest.approx(frames[0].get_potential_energy(), abs=1e-4)
    backbone = model.backbone.train()
    batch = backbone.collate([backbone.graph(frames[1])])
    backbone(batch)["energy"].sum().backward()
    scale = backbone.model.readouts[-1].linear_2.weight.grad
    # each head has readouts of its own: the other's learn nothing
    halves = scale.view(-1, 2)[:, 0].abs().sum(), scale.view(-1, 2)[:, 1].abs().sum()
    assert sorted(float(h) > 0 for h in halves) == [False, True]


@pytest.mark.parametrize("head", [None, "HSE"])
def test_a_head_that_a_model_does_not_have_is_refused_with_those_it_has(two_heads, head):
    with pytest.raises(ConfigError, match="has PBE, r2SCAN; set one of them"):
        mt.FinetuneModuleBase(config_of(two_heads, head=head))


def test_a_pickle_is_refused_before_any_of_its_code_runs(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    path = tmp_path / "hostile.model"
    torch.save(Hostile(), path)
    for build in ("create_backbone", "vendor_calculator"):
        with pytest.raises(ConfigError, match=r"can run any code.*set trust_checkpoint: true"):
            getattr(config_of(path, trust_checkpoint=False), build)()
    assert not (tmp_path / "owned").exists()


def test_a_model_of_another_class_is_refused(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "other.model")
    with pytest.raises(ConfigError, match="a Linear cannot be tuned; only a ScaleShiftMACE can"):
        mt.FinetuneModuleBase(config_of(tmp_path / "other.model"))


def test_a_converted_file_needs_no_trust_and_gives_the_same_model(two_heads, tmp_path):
    plain = tmp_path / "plain.pt"
    refused = CliRunner().invoke(app, ["convert", str(two_heads), str(plain)])
    assert refused.exit_code == 1
    assert not plain.exists()
    arguments = ["convert", str(two_heads), str(plain), "--trust-checkpoint"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    torch.load(plain, weights_only=True)
    before, after = (
        mt.FinetuneModuleBase(config).eval()
        for config in (
            config_of(two_heads, head="PBE"),
            config_of(plain, head="PBE", trust_checkpoint=False),
        )
    )
    oxide = hard_structures()["oxide"]
    assert energy_of(before, oxide) == energy_of(after, oxide)


def test_a_tuned_checkpoint_needs_the_vendors_file_no_more(two_heads, tmp_path):
    path = tmp_path / "vendor.model"
    path.write_bytes(two_heads.read_bytes())
    model = mt.FinetuneModuleBase(config_of(path, head="PBE")).eval()
    saved = save(model, tmp_path / "tuned.ckpt")
    torch.load(saved, weights_only=True)
    path.unlink()
    again = mt.FinetuneModuleBase.load_from_checkpoint(saved)
    oxide = hard_structures()["oxide"]
    assert energy_of(again, oxide) == energy_of(model, oxide)
    # and a run that starts from it may answer with another head
    other = mt.FinetuneModuleBase(mt.MACEBackboneConfig(checkpoint=saved, head="r2SCAN"))
    assert other.backbone.head == 1


def test_lora_begins_as_the_model_although_parts_of_it_are_compiled(two_heads):
    oxide = hard_structures()["oxide"]
    plain = mt.FinetuneModuleBase(config_of(two_heads, head="PBE")).eval()
    config = config_of(two_heads, head="PBE", lora=mt.LoRAConfig(rank=2))
    model = mt.FinetuneModuleBase(config).eval()
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) > 0
    assert energy_of(model, oxide) == pytest.approx(energy_of(plain, oxide), abs=1e-9)


def test_a_run_goes_from_tuning_to_the_vendors_own_calculator(two_heads, tmp_path):
    data = mt.AutoSplitDataModuleConfig(
        dataset=mt.XYZDatasetConfig(src=mt.demo_data("train")), train_split=8, batch_size=4
    )
    config = mt.MatterTunerConfig(
        model=config_of(two_heads, head="r2SCAN"),
        data=data,
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(name="mace", root=tmp_path),
    )
    run = mt.MatterTuner(config).tune().run
    longer = mt.MatterTunerConfig.from_yaml(run.directory.config_file)
    longer.trainer.max_epochs = 2
    mt.MatterTuner(longer).resume(run.path)
    ethanol = molecule("CH3CH2OH")
    ethanol.calc = run.model().ase_calculator()
    energy, forces = ethanol.get_potential_energy(), ethanol.get_forces()
    assert energy_of(run.model(), ethanol) == pytest.approx(energy, abs=1e-6)
    exported = config_of(run.export(), head="r2SCAN").vendor_calculator()
    ethanol.calc = exported
    assert ethanol.get_potential_energy() == pytest.approx(energy, abs=1e-4)
    np.testing.assert_allclose(ethanol.get_forces(), forces, atol=1e-4)


@pytest.mark.parametrize("head", ["PBE", "r2SCAN"])
def test_an_exported_file_is_loaded_by_the_vendor_with_the_references_in_it(
    two_heads, head, tmp_path
):
    assert_export_equals(config_of(two_heads, head=head), tmp_path / "exported.model")


@pytest.mark.parametrize("head", ["PBE", "r2SCAN"])
def test_what_lammps_loads_computes_the_same(two_heads, head, tmp_path):
    model = mt.FinetuneModuleBase(config_of(two_heads, head=head)).eval()
    ethanol = molecule("CH3CH2OH")
    model.normalization.references[ethanol.numbers] = 7.25
    save_lammps(model, tmp_path / "model.pt")
    lines = (tmp_path / "model.in").read_text(encoding="utf-8")
    assert "pair_style    mace no_domain_decomposition\n" in lines
    # without it LAMMPS crashes
    assert "atom_modify   map yes\n" in lines
    (ours,) = model.property_predictor().predict([ethanol])
    graph = model.backbone.graph(ethanol)
    # as the pair style hands an undivided system over
    data = {
        "node_attrs": torch.nn.functional.one_hot(
            model.backbone.types[graph.numbers], len(NUMBERS)
        ).double(),
        "positions": graph.positions,
        "edge_index": graph.edge_index,
        "shifts": torch.zeros(graph.edge_index.shape[1], 3).double(),
        "unit_shifts": torch.zeros(graph.edge_index.shape[1], 3).double(),
        "cell": torch.zeros(3, 3).double(),
        "batch": torch.zeros(len(ethanol), dtype=torch.long),
        "ptr": torch.tensor([0, len(ethanol)]),
        "energy": torch.zeros(1).double(),
    }
    theirs = torch.jit.load(tmp_path / "model.pt")(data, torch.ones(len(ethanol), dtype=torch.bool))
    assert theirs["total_energy_local"].item() == pytest.approx(ours["energy"], abs=1e-4)
    assert ours["forces"] == pytest.approx(theirs["forces"].detach().numpy(), abs=1e-4)


@pytest.mark.parametrize("name", ["medium-mpa-0", "off-small"])
def test_without_a_network_the_name_says_which_file_to_get(name, monkeypatch):
    import urllib.request

    def refuse(*args, **kwargs):
        msg = "no route to host"
        raise OSError(msg)

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    config = mt.MACEBackboneConfig(pretrained_model=name, trust_checkpoint=True)
    with pytest.raises(ConfigError, match=r"get \S+\.model from https://github.com/ACEsuit"):
        config.create_backbone()
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        mt.MACEBackboneConfig(pretrained_model=name).create_backbone()


def test_files_and_names_are_those_of_the_vendor():
    with guarded(), quiet():
        from mace.calculators import foundations_models as vendor
    urls = vendor.mace_mp_urls | {f"off-{k}": url for k, url in vendor.mace_off_urls.items()}
    for name, facts in mt.MACEBackboneConfig.weights().items():
        assert urls[name].endswith(f"/{next(iter(facts.download.files))}")
        # as the vendor says before a download
        is_academic = name.startswith("off-") or "omat" in name or "matpes" in name
        assert facts.licence == ("Academic Software License" if is_academic else "MIT")


def test_a_process_that_has_loaded_a_model_reads_other_files_as_safely_as_before(file):
    code = (
        "import os, torch, mattertune_nb as mt\n"
        f"mt.MACEBackboneConfig(checkpoint={str(file)!r}, trust_checkpoint=True).create_backbone()\n"
        "assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ\n"
        "assert torch.get_default_dtype() == torch.float32\n"
    )
    # a bare ``import mace`` in another test leaves the switch on in this process
    environment = {k: v for k, v in os.environ.items() if k != "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
