"""MatterSim: a small random model as the vendor saves it, and the vendor's calculator."""

from __future__ import annotations

import os

import pytest
import torch
from vendors import (
    assert_equals_vendor,
    assert_export_equals,
    hard_structures,
    tune_resume_and_predict,
)

import mattertune_nb as mt
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.testing import check_backbone

pytestmark = pytest.mark.skipif(
    not mt.MatterSimBackboneConfig.is_installed(), reason=mt.MatterSimBackboneConfig.install_hint()
)


@pytest.fixture
def config(tmp_path):
    """Write what the vendor's trainer does, with energies of the elements that differ."""
    with guarded(), quiet():
        from mattersim.forcefield import Potential
        from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

        torch.manual_seed(0)
        model = M3Gnet(num_blocks=2, units=16, device="cpu")
        model.normalizer.shift += -0.1 * torch.arange(95)
        model.normalizer.scale *= 1.4
        optimizer = torch.optim.Adam(model.parameters())
        potential = Potential(model, optimizer=optimizer, device="cpu")
        potential.save(str(tmp_path / "model.pth"))
    return mt.MatterSimBackboneConfig(checkpoint=tmp_path / "model.pth")


def test_hard_structures_as_the_vendor(config):
    model, calculator = mt.FinetuneModuleBase(config).eval(), config.vendor_calculator()
    for name, atoms in hard_structures().items():
        if name != "one atom alone":  # the vendor's list of neighbours is empty for it
            assert_equals_vendor(model, calculator, atoms)


def test_conformance(config):
    backbone_config_class("mattersim")  # its entry point is installed
    check_backbone(config)


def test_a_run_needs_the_vendors_file_no_more(config, tmp_path):
    tune_resume_and_predict(config, tmp_path)


def test_a_tuned_model_is_what_the_vendors_calculator_loads(config, tmp_path):
    assert_export_equals(config, tmp_path / "tuned.pth")


@pytest.mark.parametrize("content", ["hostile", "another's"])
def test_a_file_that_is_no_checkpoint_of_the_vendors(tmp_path, content):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    path = tmp_path / "model.pth"
    torch.save({"model": Hostile()} if content == "hostile" else {"state_dict": {}}, path)
    for build in ("create_backbone", "vendor_calculator"):
        with pytest.raises(
            ConfigError, match="not a MatterSim checkpoint that can be loaded safely"
        ):
            getattr(mt.MatterSimBackboneConfig(checkpoint=path), build)()
    assert not (tmp_path / "owned").exists()


def test_without_a_network_the_name_says_which_file_to_get(monkeypatch, tmp_path):
    import requests

    def refuse(*args, **kwargs):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"get mattersim-v1\.0\.0-1M\.pth from https"):
        mt.MatterSimBackboneConfig().create_backbone()
