"""SevenNet: the vendor's numbers on hard structures, from its wheel or a checkpoint of its trainer."""

from __future__ import annotations

import os
import shutil
import socket

import pytest
import torch
from lightning.pytorch import Trainer
from vendors import (
    NoNetwork,
    assert_equal_gradients,
    assert_equals_vendor,
    hard_structures,
    training_gradients,
)

import mattertune_nb as mt

pytestmark = pytest.mark.skipif(
    not mt.SevenNetBackboneConfig.is_installed(), reason=mt.SevenNetBackboneConfig.install_hint()
)

WEIGHTS = [("7net-0", None), ("7net-l3i5", None), ("7net-mf-0", "PBE"), ("7net-mf-0", "R2SCAN")]


@pytest.fixture(scope="module")
def sevennet():
    return mt.FinetuneModuleBase(mt.SevenNetBackboneConfig()).eval()


@pytest.fixture(scope="module")
def calculator():
    return mt.SevenNetBackboneConfig().vendor_calculator()


@pytest.mark.parametrize("name", [n for n in hard_structures() if n != "one atom alone"])
def test_hard_structures_as_the_vendor(sevennet, calculator, name):
    assert_equals_vendor(sevennet, calculator, hard_structures()[name])


def test_an_atom_alone_has_an_energy_and_no_force(sevennet):
    (result,) = sevennet.property_predictor().predict([hard_structures()["one atom alone"]])
    assert abs(result["energy"]) < 10
    assert result["forces"].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("weights", "modality"), WEIGHTS[:3])
def test_a_training_step_by_paths_is_that_of_the_vendors_convolution(
    weights, modality, monkeypatch
):
    from mattertune_nb.backbones.sevennet import adapter as sevennet_adapter
    from mattertune_nb.backbones.sevennet.adapter import PathConvolution

    config = mt.SevenNetBackboneConfig(pretrained_model=weights, modality=modality)
    ours = config.create_backbone()
    assert isinstance(ours.model["0_convolution"], PathConvolution)
    monkeypatch.setattr(sevennet_adapter, "work_by_paths", lambda modules: None)
    theirs = config.create_backbone()
    assert not isinstance(theirs.model["0_convolution"], PathConvolution)
    # the coupling coefficients are rounded to float32 in another place
    assert_equal_gradients(training_gradients(ours), training_gradients(theirs), rtol=1e-6)


@pytest.mark.parametrize(("weights", "modality"), WEIGHTS)
def test_all_weights_are_in_the_wheel(weights, modality, monkeypatch):
    monkeypatch.setattr(socket, "socket", NoNetwork)
    config = mt.SevenNetBackboneConfig(pretrained_model=weights, modality=modality)
    assert mt.FinetuneModuleBase(config).backbone.label == f"SevenNet {weights}"


def test_the_modality_changes_the_answer():
    oxide = hard_structures()["oxide"]
    energies = [
        mt.FinetuneModuleBase(
            mt.SevenNetBackboneConfig(pretrained_model="7net-mf-0", modality=modality)
        )
        .eval()
        .property_predictor()
        .predict([oxide], ["energy"])[0]["energy"]
        for modality in ("PBE", "R2SCAN")
    ]
    assert abs(energies[0] - energies[1]) > 0.1


def test_frames_of_two_levels_of_theory_stand_in_one_batch():
    def config(modality):
        return mt.SevenNetBackboneConfig(pretrained_model="7net-mf-0", modality=modality)

    oxide = hard_structures()["oxide"]
    frames = [oxide.copy() for _ in range(3)]
    frames[0].info["modality"] = "R2SCAN"
    frames[1].info["modality"] = "PBE"
    model = mt.FinetuneModuleBase(config("PBE")).eval()
    found = [r["energy"] for r in model.property_predictor(batch_size=3).predict(frames)]
    for energy, level in zip(found, ("R2SCAN", "PBE", "PBE"), strict=True):
        oxide.calc = config(level).vendor_calculator()
        assert energy == pytest.approx(oxide.get_potential_energy(), abs=1e-4)
    frames[0].info["modality"] = "HSE"
    with pytest.raises(mt.DataError, match="'modality' is 'HSE', and has to be one of R2SCAN, PBE"):
        model.property_predictor().predict(frames[:1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pretrained_model": "7net-mf-0"}, "needs one of PBE, R2SCAN"),
        ({"pretrained_model": "7net-mf-0", "modality": "HSE"}, "needs one of PBE, R2SCAN"),
        ({"modality": "PBE"}, "7net-0 has none; leave it unset"),
    ],
)
def test_a_modality_that_the_weights_do_not_have(fields, message):
    with pytest.raises(mt.ConfigError, match=message):
        mt.SevenNetBackboneConfig(**fields)


def test_a_tuned_checkpoint_needs_the_vendors_file_no_more(tmp_path):
    from sevenn.util import pretrained_name_to_path

    path = tmp_path / "vendor.pth"
    shutil.copy(pretrained_name_to_path("7net-mf-0"), path)
    config = mt.SevenNetBackboneConfig(checkpoint=path, modality="PBE")
    model = mt.FinetuneModuleBase(config).eval()
    oxide = hard_structures()["oxide"]
    assert_equals_vendor(model, config.vendor_calculator(), oxide)
    trainer = Trainer(logger=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    path.unlink()
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "tuned.ckpt")
    (before,), (after,) = (m.property_predictor().predict([oxide]) for m in (model, loaded))
    assert after["energy"] == before["energy"]
    assert (after["forces"] == before["forces"]).all()
    assert loaded.hparams == config


def test_a_modality_that_a_checkpoint_does_not_have_is_refused_with_those_it_has(tmp_path):
    from sevenn.util import pretrained_name_to_path

    path = tmp_path / "vendor.pth"
    shutil.copy(pretrained_name_to_path("7net-mf-0"), path)
    with pytest.raises(mt.ConfigError, match="has R2SCAN, PBE, not 'HSE'"):
        mt.FinetuneModuleBase(mt.SevenNetBackboneConfig(checkpoint=path, modality="HSE"))


@pytest.mark.parametrize("content", ["hostile", "damaged", "missing"])
def test_a_file_that_is_no_checkpoint_of_the_vendors(tmp_path, content):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    path = tmp_path / "vendor.pth"
    if content == "hostile":
        torch.save({"config": Hostile()}, path)
    elif content == "damaged":
        path.write_bytes(b"PK\x03\x04")
    message = {"hostile": "refused because loading it would call", "damaged": "damaged"}
    with pytest.raises(mt.ConfigError, match=message.get(content, "does not exist")):
        mt.FinetuneModuleBase(mt.SevenNetBackboneConfig(checkpoint=path))
    assert not (tmp_path / "owned").exists()
