"""Backbones by name: what is installed, what is not, and what an outside package brings."""

from __future__ import annotations

import pytest
from toy_backbone import MorseBackboneConfig

import mattertune_nb as mt
from mattertune_nb.backbones import base, registry
from mattertune_nb.backbones.listing import listing
from mattertune_nb.backbones.others import ELSEWHERE


def test_ours_are_registered_by_entry_points():
    found = registry.available()
    assert found["chgnet"].config_class is mt.CHGNetBackboneConfig
    assert found["chgnet"].installed
    assert found["sevennet"].install_hint == "pip install 'mattertune-nb[sevennet]'"


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(mt.ConfigError, match=r"unknown backbone 'chgnt'.*'chgnet'"):
        registry.backbone_config_class("chgnt")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("GRACE", "TensorFlow"),
        ("equiformer_v2", "pins torch to 2.4"),
        ("eSEN", "of the backbone 'uma'"),
        ("m3gnet", "of the backbone 'matgl'"),
    ],
)
def test_a_potential_that_is_not_here_is_answered_with_why(name, why):
    with pytest.raises(mt.ConfigError, match=rf"there is no backbone '{name}': .*{why}"):
        registry.backbone_config_class(name)


def test_the_listing_tells_of_all_weights_and_of_what_is_not_here():
    text = listing()
    for info in registry.available().values():
        assert info.name in text
        assert all(weights in text for weights in info.config_class.weights())
    assert "allows any use, if the notice is kept" in text
    assert all(why in text for why in ELSEWHERE.values())


def test_a_vendor_that_is_not_there_is_told_with_its_pip_line(monkeypatch):
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    assert not registry.available()["sevennet"].installed
    with pytest.raises(mt.MissingExtraError, match=r"pip install 'mattertune-nb\[sevennet\]'"):
        mt.FinetuneModuleBase(mt.SevenNetBackboneConfig())


def test_a_new_backbone_is_one_file_and_one_entry_point(morse_installed, tmp_path):
    config = mt.MatterTunerConfig(
        model=MorseBackboneConfig(),
        data=mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src="a.xyz")),
    )
    config.to_yaml(tmp_path / "config.yaml")
    again = mt.MatterTunerConfig.from_yaml(tmp_path / "config.yaml")
    assert isinstance(again.model, MorseBackboneConfig)
    assert again == config


def test_an_entry_point_that_cannot_be_loaded_hides_no_other(tmp_path, monkeypatch):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{registry.GROUP}]\nbroken = nowhere_to_be_found:Config\nwrong = pathlib:Path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._entry_points.cache_clear()
    try:
        found = set(registry.available())
        assert found >= {"chgnet", "sevennet"}
        assert not found & {"broken", "wrong"}
        with pytest.raises(mt.ConfigError, match=r"'broken' .*cannot be loaded: No module named"):
            registry.backbone_config_class("broken")
        with pytest.raises(mt.ConfigError, match=r"'wrong' .* is not a BackboneConfig"):
            registry.backbone_config_class("wrong")
    finally:
        registry._entry_points.cache_clear()


@pytest.mark.parametrize("kind", [mt.ForcesPropertyConfig, mt.StressesPropertyConfig])
def test_a_direct_head_that_the_backbone_lacks_is_refused(kind):
    with pytest.raises(mt.ConfigError, match=r"has no direct head for .*set conservative=True"):
        mt.CHGNetBackboneConfig(properties=[kind(conservative=False)])
