"""Depth: of which interaction block a parameter is, what is held by it, and how fast the others learn."""

from __future__ import annotations

import pytest
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.model.depth import depths, rate_factors


def trained(**settings) -> set[str]:
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(**settings))
    return {name for name, p in model.backbone.named_parameters() if p.requires_grad}


def test_embeddings_come_first_and_the_readout_last():
    backbone = mt.CHGNetBackboneConfig().create_backbone()
    found = depths(backbone, "a setting")
    assert set(found) == {name for name, _ in backbone.named_parameters()}
    assert found["model.atom_embedding.embedding.weight"] == 0
    assert found["model.atom_conv_layers.0.mlp_out.layers.1.weight"] == 1
    assert found["model.angle_layers.0.twoBody_bond.bn1.bias"] == 1
    assert found["model.bond_conv_layers.2.mlp_out.layers.1.weight"] == 3
    assert found["model.atom_conv_layers.3.mlp_out.layers.1.weight"] == 4
    assert found["model.mlp.layers.7.weight"] == found["model.readout_norm.bias"] == 5


def test_blocks_of_sevennet_are_told():
    pytest.importorskip("sevenn", reason="pip install 'mattertune-nb[sevennet]'")
    found = depths(mt.SevenNetBackboneConfig().create_backbone(), "a setting")
    assert found["model.onehot_to_feature_x.linear.weight"] == 0
    assert found["model.0_convolution.weight_nn.layer2.weight"] == 1
    assert found["model.4_self_interaction_2.linear.weight"] == 5
    assert found["model.reduce_hidden_to_energy.linear.weight"] == 6


def test_what_is_held_grows_from_the_embeddings_to_the_readout():
    everything, two, four = trained(), trained(frozen_blocks=2), trained(frozen_blocks=4)
    assert not [n for n in two if "embedding" in n or "layers.0.two" in n or "layers.1.two" in n]
    assert {n for n in everything if "atom_conv_layers.2" in n or "mlp.l" in n} <= two
    assert four == {n for n in everything if n.startswith(("model.mlp.", "model.readout"))}
    with pytest.raises(
        mt.ConfigError, match=r"frozen_blocks: 5, and CHGNet 0\.3\.0 has 4 interaction"
    ):
        trained(frozen_blocks=5)
    with pytest.raises(
        mt.ConfigError, match=r"Morse does not tell .* \(freeze, optimizer\.lr_factors\)"
    ):
        mt.FinetuneModuleBase(MorseBackboneConfig(frozen_blocks=1))


def test_the_rate_falls_from_block_to_block_beside_what_patterns_ask_for():
    config = mt.CHGNetBackboneConfig(
        lr_decay=0.5,
        optimizer=mt.AdamWConfig(lr=1.0, lr_factors={"*readout_norm*": 0.1, "*twoBody_bond*": 2.0}),
    )
    model = mt.FinetuneModuleBase(config)
    factors = rate_factors(model.backbone, 0.5)
    optimizer = mt.create_optimizer(config.optimizer, model.named_parameters(), factors)
    names = {p: name.removeprefix("backbone.") for name, p in model.named_parameters()}
    rates = {names[p]: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates["model.mlp.layers.0.weight"] == 1.0
    assert rates["model.readout_norm.weight"] == 0.1
    assert rates["model.atom_conv_layers.3.mlp_out.layers.1.weight"] == 0.5
    assert rates["model.atom_conv_layers.0.mlp_out.layers.1.weight"] == 0.5**4
    assert rates["model.bond_conv_layers.0.twoBody_bond.bn1.bias"] == 2 * 0.5**4
    assert rates["model.atom_embedding.embedding.weight"] == 0.5**5
    assert len({g["name"] for g in optimizer.param_groups}) == len(optimizer.param_groups)
    assert optimizer.param_groups[0]["lr"] == 1.0


def test_an_update_of_low_rank_learns_as_fast_as_its_weight_would():
    model = mt.FinetuneModuleBase(mt.CHGNetBackboneConfig(lora=mt.LoRAConfig(rank=1)))
    factors = rate_factors(model.backbone, 0.5)
    for k, name in enumerate(model.backbone.lora.names):
        assert factors[f"lora.updates.{k}.up.0"] == factors[name]
