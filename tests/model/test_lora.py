"""LoRA: what is trained is of low rank, and added to the weights it is the same model to the last digit."""

from __future__ import annotations

import copy
import importlib.util

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from ase.io import read
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.model.lora import lora_of

KINDS = [
    mt.CHGNetBackboneConfig,
    pytest.param(
        mt.SevenNetBackboneConfig,
        marks=pytest.mark.skipif(
            importlib.util.find_spec("sevenn") is None,
            reason="pip install 'mattertune-nb[sevennet]'",
        ),
    ),
]


def structures():
    salt = bulk("NaCl", "rocksalt", a=5.6)
    salt.rattle(0.1, seed=1)
    return [molecule("CH3CH2OH"), salt]


def changed(kind=mt.CHGNetBackboneConfig, **lora) -> mt.FinetuneModuleBase:
    """Return a model of which the updates are no longer zero."""
    torch.manual_seed(0)
    model = mt.FinetuneModuleBase(kind(lora=mt.LoRAConfig(**{"rank": 4} | lora)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.01 * torch.randn_like(parameter)
    return model.eval()


def predicted(model):
    found = model.property_predictor().predict(structures())
    return np.concatenate([np.append(f["forces"].ravel(), f["energy"]) for f in found])


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_as_the_model_and_ends_as_one_of_plain_weights(kind):
    torch.manual_seed(0)
    plain = mt.FinetuneModuleBase(kind()).eval()
    model = mt.FinetuneModuleBase(kind(lora=mt.LoRAConfig())).eval()
    np.testing.assert_array_equal(predicted(model), predicted(plain))

    model = changed(kind)
    tuned = predicted(model)
    assert np.abs(tuned - predicted(plain)).max() > 0.1
    np.testing.assert_allclose(predicted(copy.deepcopy(model)), tuned, atol=1e-5)
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    before = dict(model.backbone.named_parameters())
    model.merge_lora()
    np.testing.assert_allclose(predicted(model), tuned, atol=1e-5)
    assert set(model.state_dict()) == set(plain.state_dict())
    own = dict(plain.backbone.named_parameters())
    assert {n for n, p in before.items() if p.requires_grad and n in own} == {
        n for n, p in own.items() if p.requires_grad
    }
    plain.load_state_dict(checkpoint["state_dict"])
    np.testing.assert_allclose(predicted(plain), tuned, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_each_matrix_changes_by_the_rank_and_nothing_else_at_all(kind):
    start = dict(mt.FinetuneModuleBase(kind()).backbone.named_parameters())
    model = changed(kind, rank=2)
    lora = lora_of(model.backbone)
    shapes = {
        name: [(len(up), down.shape[1]) for up, down in zip(u.up, u.down, strict=True)]
        for name, u in zip(lora.names, lora.updates, strict=True)
    }
    model.merge_lora()
    for name, weight in model.backbone.named_parameters():
        difference = (weight - start[name]).detach().double()
        if name not in shapes:
            assert not difference.any(), name
            continue
        parts = torch.split(difference.flatten(), [m * n for m, n in shapes[name]])
        for part, (m, n) in zip(parts, shapes[name], strict=True):
            singular = torch.linalg.svdvals(part.view(m, n))
            assert singular[0] > 1e-3
            assert float(singular[2:].sum()) < 1e-3 * float(singular[0]), name


def test_updates_of_equivariant_layers_leave_a_model_equivariant():
    pytest.importorskip("sevenn", reason="pip install 'mattertune-nb[sevennet]'")
    model = changed(mt.SevenNetBackboneConfig)
    atoms, turned = molecule("CH3CH2OH"), molecule("CH3CH2OH")
    turned.rotate(40, (1, 2, 3))
    ours, theirs = model.property_predictor().predict([atoms, turned])
    rotation = np.linalg.lstsq(
        atoms.positions - atoms.positions.mean(0),
        turned.positions - turned.positions.mean(0),
        rcond=None,
    )[0]
    assert theirs["energy"] == pytest.approx(ours["energy"], abs=1e-3)
    np.testing.assert_allclose(theirs["forces"], ours["forces"] @ rotation, atol=2e-3)


def test_rank_size_and_targets_act():
    def updated(**settings):
        torch.manual_seed(0)
        model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(lora=mt.LoRAConfig(**settings)))
        return lora_of(model.backbone)

    def count(lora):
        return sum(p.numel() for p in lora.parameters())

    assert count(updated(rank=8)) > 1.9 * count(updated(rank=4))
    assert updated(alpha=4.0, rank=2).updates[0].factor == 2.0
    only = updated(targets=["*atom_conv_layers.3*", "model.mlp*"]).names
    assert only == [n for n in updated().names if "atom_conv_layers.3" in n or "model.mlp" in n]
    with pytest.raises(
        mt.ConfigError, match=r"lora\.targets: 'attention\*' fits no matrix .*bond_emb"
    ):
        updated(targets=["attention*"])
    with pytest.raises(mt.ConfigError, match="there are none"):
        mt.FinetuneModuleBase(MorseBackboneConfig(lora=mt.LoRAConfig()))


def test_what_is_frozen_gets_no_update():
    config = mt.CHGNetBackboneConfig(lora=mt.LoRAConfig(), frozen_blocks=2, freeze=["*mlp_gate*"])
    names = lora_of(mt.FinetuneModuleBase(config).backbone).names
    assert names
    assert not [n for n in names if "layers.0.two" in n or "layers.1.two" in n or "gate" in n]


@pytest.fixture
def demo(tmp_path):
    """Return a builder of configs of short runs with LoRA."""

    def build(name: str, **trainer) -> mt.MatterTunerConfig:
        config = mt.demo_config(tmp_path / "runs", name)
        config.data.train.index, config.data.validation.index = ":12", ":6"
        config.data.batch_size = 4
        config.model.lora = mt.LoRAConfig(rank=2)
        short = {"max_epochs": 2, "foreign_set": None, "walls": False} | trainer
        config.trainer = mt.TrainerConfig(**config.trainer.to_dict() | short)
        return config

    return build


def test_a_run_has_plain_weights_in_its_best_checkpoint_and_for_the_vendor(demo, tmp_path):
    result = mt.MatterTuner(demo("run")).tune()
    run = result.run
    atoms = read(mt.demo_data("test"))

    def forces(calculator):
        atoms.calc = calculator
        return atoms.get_forces()

    tuned = forces(result.model.ase_calculator())
    untuned = forces(mt.FinetuneModuleBase(mt.CHGNetBackboneConfig()).eval().ase_calculator())
    assert np.abs(tuned - untuned).max() > 0.05
    np.testing.assert_allclose(forces(run.model().ase_calculator()), tuned, atol=1e-5)
    contents = torch.load(run.directory.best, weights_only=True)
    assert not [name for name in contents["state_dict"] if "lora" in name]

    path = run.export("vendor")
    vendor = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(checkpoint=path)).eval()
    np.testing.assert_allclose(forces(vendor.ase_calculator()), tuned, atol=1e-5)
    second = demo("second")
    second.model.checkpoint = run.path
    np.testing.assert_allclose(
        forces(mt.FinetuneModuleBase(second.model).eval().ase_calculator()), tuned, atol=1e-5
    )


def test_weights_cannot_be_held_that_are_not_trained(demo):
    with pytest.raises(mt.ConfigError, match=r"LoRA .* does not train"):
        demo("run", l2_sp={"weight": 1.0})
    with pytest.raises(mt.ConfigError, match=r"LoRA .* does not train"):
        demo("run", ewc={"weight": 1.0}).to_yaml()
