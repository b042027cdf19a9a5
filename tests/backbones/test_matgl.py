"""matgl: small random potentials that its own code builds and saves, and its own numbers for them."""

from __future__ import annotations

import json
import os
import socket

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from vendors import (
    NoNetwork,
    assert_equals_vendor,
    assert_export_equals,
    hard_structures,
    tune_resume_and_predict,
)

import mattertune_nb as mt
from mattertune_nb.backbones.matgl.config import FACTS
from mattertune_nb.testing import check_backbone

pytestmark = pytest.mark.skipif(
    not mt.MatGLBackboneConfig.is_installed(), reason=mt.MatGLBackboneConfig.install_hint()
)

ELEMENTS = ("H", "Li", "C", "O", "Al", "Cu")
SMALL = {
    "TensorNet": {"units": 16, "is_intensive": False, "rbf_type": "SphericalBessel"},
    "M3GNet": {"units": 16, "is_intensive": False, "nblocks": 2, "use_smooth": True},
    "CHGNet": {"num_blocks": 2, "cutoff": 5.0},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return what makes the vendor save a potential, with energies of the elements and a scale."""
    from matgl import models
    from matgl.apps.pes import Potential

    def save(name: str, **settings):
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("matgl") / name
        model = getattr(models, name)(element_types=ELEMENTS, **SMALL.get(name, {}) | settings)
        references = np.linspace(-4, -1, len(ELEMENTS))
        Potential(model, data_std=torch.tensor(1.3), element_refs=references).save(folder)
        return mt.MatGLBackboneConfig(checkpoint=folder)

    return save


@pytest.mark.parametrize("name", SMALL)
def test_conforms(saved, name):
    check_backbone(saved(name))


@pytest.mark.parametrize("name", SMALL)
def test_hard_structures_as_the_vendor(saved, name):
    config = saved(name)
    model, calculator = mt.FinetuneModuleBase(config).eval(), config.vendor_calculator()
    for structure, atoms in hard_structures().items():
        if structure != "one atom alone":  # the vendor has no graph without edges
            assert_equals_vendor(model, calculator, atoms)


@pytest.mark.parametrize("name", SMALL)
def test_a_tuned_model_goes_on_and_is_used_without_the_vendors_folder(saved, name, tmp_path):
    tune_resume_and_predict(saved(name), tmp_path)


@pytest.mark.parametrize("name", SMALL)
def test_an_exported_folder_is_loaded_by_the_vendor(saved, name, tmp_path):
    import matgl

    assert_export_equals(saved(name), tmp_path / "exported")
    assert matgl.load_model(tmp_path / "exported")


def test_a_checkpoint_needs_the_vendors_folder_no_more(saved, tmp_path):
    config = saved("M3GNet")
    model = mt.FinetuneModuleBase(config).eval()
    oxide = hard_structures()["oxide"]
    (before,) = model.property_predictor().predict([oxide])
    trainer = Trainer(logger=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "tuned.ckpt")
    for file in config.checkpoint.iterdir():
        file.unlink()
    loaded = mt.FinetuneModuleBase.load_from_checkpoint(tmp_path / "tuned.ckpt")
    (after,) = loaded.property_predictor().predict([oxide])
    assert after["energy"] == before["energy"]
    assert (after["forces"] == before["forces"]).all()


def test_a_folder_that_names_another_class_runs_none_of_it(saved, tmp_path):
    folder = saved("TensorNet").checkpoint
    contents = torch.load(folder / "model.pt", weights_only=True)
    command = {"args": f"touch {tmp_path / 'owned'}", "shell": True}
    contents["model"] = {"@class": "Popen", "@module": "subprocess", "init_args": command}
    torch.save(contents, folder / "model.pt")
    with pytest.raises(mt.ConfigError, match=r"holds Popen, and this backbone is for"):
        mt.MatGLBackboneConfig(checkpoint=folder).create_backbone()
    assert not (tmp_path / "owned").exists()


def test_a_file_that_could_run_code_is_refused(saved, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    folder = saved("TensorNet").checkpoint
    torch.save({"model": Hostile()}, folder / "model.pt")
    with pytest.raises(mt.ConfigError, match=r"is not a matgl potential .* loaded safely"):
        mt.MatGLBackboneConfig(checkpoint=folder).create_backbone()
    assert not (tmp_path / "owned").exists()


def test_a_folder_that_lacks_a_file_says_which(saved):
    folder = saved("TensorNet").checkpoint
    (folder / "state.pt").unlink()
    with pytest.raises(mt.ConfigError, match=r"state\.pt does not exist; matgl's Potential\.save"):
        mt.FinetuneModuleBase(mt.MatGLBackboneConfig(checkpoint=folder))


def test_a_model_that_is_no_potential_is_refused(saved):
    with pytest.raises(mt.ConfigError, match="predicts a property of a material"):
        saved("M3GNet", is_intensive=True).create_backbone()


@pytest.mark.parametrize("weights", FACTS)
def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(weights, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(socket, "socket", NoNetwork)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # no waiting for another attempt
    with pytest.raises(mt.ConfigError) as error:
        mt.MatGLBackboneConfig(pretrained_model=weights).create_backbone()
    assert f"https://huggingface.co/materialyze/{weights}/tree/main" in str(error.value)
    assert "model.pt and state.pt and model.json" in str(error.value)
    assert "give the folder as model.checkpoint" in str(error.value)


def test_weights_by_name_are_those_that_the_vendor_fetches(saved, monkeypatch, tmp_path):
    import huggingface_hub

    folder = saved("TensorNet").checkpoint
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda repo, file, cache_dir: str(folder / file)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = mt.MatGLBackboneConfig()
    assert config.create_backbone().label == "matgl TensorNet-PES-MatPES-PBE-2025.2"
    contents = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(contents | {"metadata": "another"}))
    with pytest.raises(mt.ConfigError, match=r"model\.json: its sha256 .* at its first download"):
        config.create_backbone()
